package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryCaddyfileValidates adapts and validates all Caddyfiles of the repository and all that
// stand in its documentation.
func TestEveryCaddyfileValidates(t *testing.T) {
	files := make(map[string]string)
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && path != repository && strings.HasPrefix(name, "."):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case name == "Caddyfile.cache": // needs a module that cmd/caddy does not have: TestCacheInside
			return nil
		case name == "Caddyfile" || strings.HasPrefix(name, "Caddyfile."):
			text, err := os.ReadFile(path)
			files[path] = string(text)
			return err
		case filepath.Ext(name) == ".md":
			text, err := os.ReadFile(path)
			for i, block := range codeBlocks(string(text), "caddyfile") {
				files[path+"#"+string(rune('1'+i))] = block
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 12 {
		t.Errorf("only %d Caddyfiles found", len(files))
	}
	for name, text := range files {
		t.Run(strings.TrimPrefix(name, repository+"/"), func(t *testing.T) {
			c := &caddy{t: t, dir: shortTempDir(t), ports: map[string]int{}}
			t.Setenv("LOGDIR", c.dir)
			c.write(strings.ReplaceAll(text, "/var/log/caddy", c.dir))
			if out, err := c.command("adapt", "--config", "Caddyfile", "--adapter", "caddyfile", "--validate"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// codeBlocks returns the fenced blocks of a Markdown text that are in that language.
func codeBlocks(text, language string) (blocks []string) {
	for {
		_, rest, ok := strings.Cut(text, "\n```"+language+"\n")
		if !ok {
			return blocks
		}
		block, after, _ := strings.Cut(rest, "\n```")
		blocks = append(blocks, block+"\n")
		text = after
	}
}
