package rules

import "testing"

func TestEmbeddedCatalogueLoads(t *testing.T) {
	if _, err := DefaultCatalogue(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkLoadCatalogue(b *testing.B) {
	for b.Loop() {
		if _, err := LoadCatalogue(); err != nil {
			b.Fatal(err)
		}
	}
}
