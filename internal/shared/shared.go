// Package shared finds the big sets of test material that are not part of the repository.
package shared

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Dir returns the folder named by CONSENT_SHARED, by default "shared" beside the repository. The
// test is skipped where there is none, or fails if CONSENT_SHARED_REQUIRED is set.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("CONSENT_SHARED")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "corpus")); err != nil {
		if os.Getenv("CONSENT_SHARED_REQUIRED") != "" {
			t.Fatalf("the test material is required but not at %s", dir)
		}
		t.Skip("no test material: set CONSENT_SHARED to the folder that has corpus/ and vectors/")
	}
	return dir
}

// Page is a saved page.
type Page struct {
	File, Host, URL, Charset string
	Body                     []byte
}

// Pages returns the saved pages in the order of pages.tsv.
func Pages(t testing.TB) []Page {
	t.Helper()
	dir := filepath.Join(Dir(t), "corpus")
	f, err := os.Open(filepath.Join(dir, "pages.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var pages []Page
	column := make(map[string]int)
	for s := bufio.NewScanner(f); s.Scan(); {
		c := strings.Split(s.Text(), "\t")
		if len(column) == 0 {
			for i, name := range c {
				column[name] = i
			}
			continue
		}
		body, err := os.ReadFile(filepath.Join(dir, c[column["file"]]))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, Page{File: c[column["file"]], Host: c[column["page_host"]], URL: c[column["page_url"]], Charset: c[column["declared_charset"]], Body: body})
	}
	return pages
}

// Documents yields the HTML documents of the public suites by their path.
func Documents(t testing.TB) map[string]string {
	t.Helper()
	root := filepath.Join(Dir(t), "corpus", "suites")
	docs := make(map[string]string)
	for _, suite := range []string{"wpt-html", "lol-html-fuzz-corpus", "lol-html-regression", "jsoup-fuzztests", "amp-toolbox", "mod-pagespeed-pages", "lighthouse-fixtures", "ddg-privacy-test-pages", "wpt-encoding-detection"} {
		err := filepath.WalkDir(filepath.Join(root, suite), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			body, err := os.ReadFile(path)
			if err == nil && len(body) < 1<<20 {
				docs[path[len(root)+1:]] = string(body)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return docs
}
