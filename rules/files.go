package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// File is a catalogue file that has been read.
type File struct {
	Name string // as it was given, for file:line
	Data []byte
}

// ReadFiles reads a site's own catalogue files.
func ReadFiles(names ...string) ([]File, error) {
	var out []File
	for _, name := range names {
		data, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			return nil, fmt.Errorf("loading catalogue: %w", err)
		}
		out = append(out, File{name, data})
	}
	return out, nil
}

// ContentHash identifies the contents of files in their order, wherever they stand: 64 hexadecimal
// digits.
func ContentHash(files []File) string {
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%d\n", len(f.Data))
		sum.Write(f.Data)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Counts says how much a catalogue holds.
type Counts struct {
	Services   int `json:"services"`
	Hosts      int `json:"hosts"`
	Cookies    int `json:"cookies"`
	Essentials int `json:"essentials"`
}

// Counts returns the number of services, and of their hosts, cookies and essential cookies.
func (c *Catalogue) Counts() Counts {
	n := Counts{Services: len(c.services), Essentials: len(c.essentials)}
	for _, s := range c.services {
		n.Hosts += len(s.Hosts)
		n.Cookies += len(s.Cookies)
	}
	return n
}
