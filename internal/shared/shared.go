// Package shared finds the big sets of test material that are not part of the repository.
package shared

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
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
	Year                     int // 0 if unknown
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
		year, _ := strconv.Atoi(c[column["year"]])
		pages = append(pages, Page{File: c[column["file"]], Host: c[column["page_host"]], URL: c[column["page_url"]], Charset: c[column["declared_charset"]], Year: year, Body: body})
	}
	return pages
}

// documentSuites are the suites whose files are documents.
var documentSuites = []string{"wpt-html", "wpt-conformance-checkers", "lol-html-fuzz-corpus", "lol-html-regression", "jsoup-fuzztests", "jsoup-bom-charset",
	"amp-toolbox", "mod-pagespeed-pages", "lighthouse-fixtures", "ddg-privacy-test-pages", "wpt-encoding-detection", "xnet-charset-testdata"}

// Documents yields the HTML documents of the public suites by their path. Where a file holds many,
// their numbers follow the path.
func Documents(t testing.TB) map[string]string {
	t.Helper()
	root := filepath.Join(Dir(t), "corpus", "suites")
	docs := make(map[string]string)
	for _, suite := range documentSuites {
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
	add := func(name string, items []string) {
		for i, item := range items {
			docs[name+"#"+strconv.Itoa(i)] = item
		}
	}
	trees, err := filepath.Glob(filepath.Join(root, "html5lib-tests", "tree-construction", "*.dat"))
	if err != nil || len(trees) == 0 {
		t.Fatalf("no html5lib tree tests: %v", err)
	}
	for _, file := range trees {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var items []string
		for _, part := range strings.Split("\n"+string(data), "\n#data\n")[1:] {
			doc, _, _ := strings.Cut(part, "\n#errors")
			items = append(items, doc)
		}
		add(file[len(root)+1:], items)
	}
	var purify []struct{ Payload string }
	var sheet []struct{ HTML string }
	var payloads []string
	for file, v := range map[string]any{"dompurify/expect.json": &purify, "h5sc/vectors.json": &sheet, "xss-payload-list/payloads.json": &payloads} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	for i, p := range purify {
		docs["dompurify/expect.json#"+strconv.Itoa(i)] = p.Payload
	}
	for i, s := range sheet {
		docs["h5sc/vectors.json#"+strconv.Itoa(i)] = s.HTML
	}
	add("xss-payload-list/payloads.json", payloads)
	return docs
}

// Section returns the part of a file that stands between the comments that begin and end the
// section of that name.
func Section(t testing.TB, file, name string) string {
	t.Helper()
	_, text, _ := sections(t, file, name)
	return text
}

// WriteSection puts text between those comments.
func WriteSection(t testing.TB, file, name, text string) {
	t.Helper()
	before, _, after := sections(t, file, name)
	if err := os.WriteFile(file, []byte(before+text+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func sections(t testing.TB, file, name string) (before, text, after string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	before, rest, ok := strings.Cut(string(data), begin)
	text, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no section %q", file, name)
	}
	return before + begin, text, end + after
}
