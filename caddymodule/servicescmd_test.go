package caddymodule

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// run returns what a command prints.
func run(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestServiceCommands(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own.yaml")
	broken := filepath.Join(dir, "broken.yaml")
	filters, out := filepath.Join(dir, "filters.txt"), filepath.Join(dir, "imported.yaml")
	config, single := filepath.Join(dir, "Caddyfile"), filepath.Join(dir, "Single")
	for file, text := range map[string]string{config: `shop.example {
	consent {
		service youtube preferences
		allow cdn.partner.example
		block statistics stats.partner.example
		catalogue ` + own + `
	}
	respond ok
}
other.example, *.more.example {
	consent {
		unclassified block
	}
	respond ok
}
`, single: `shop.example {
	handle_errors {
		consent {
			unclassified allow
		}
		respond sorry
	}
	consent {
		mode shadow
		catalogue "` + filepath.Join(dir, "a,b.yaml") + `"
	}
	respond ok
}
two.example {
	handle /blog/* {
		consent {
			allow x.example
		}
	}
	handle {
		consent
	}
}
`, filepath.Join(dir, "a,b.yaml"): "[]\n", filters: "||vendor.example/t.js^$script\n||vendor.example^$popup\n||hotjar.com^\n", own: "- id: our-widget\n  name: Our widget\n  category: preferences\n  hosts: [widget.example]\n", broken: "- id: our-widget\n  name: Our widget\n  categry: preferences\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		cmd  *cobra.Command
		args string
		want string // of the output, or of the error
		ok   bool
	}{
		{"a full profile", servicesCommand(), "show aircall", "transfers", true},
		{"as JSON", servicesCommand(), "show aircall --json", `"legal_basis": "`, true},
		{"in French", servicesCommand(), "show aircall --lang fr", "Téléphonie en nuage", true},
		{"in a language that is not there", servicesCommand(), "show aircall --lang it", "there are en, fr, de, es", false},
		{"a near miss", servicesCommand(), "show aircal", `did you mean "aircall"?`, false},
		{"by host", servicesCommand(), "search static.hotjar.com", "session-replay", true},
		{"by cookie", servicesCommand(), "search _hjsession", "hotjar", true},
		{"nothing found", servicesCommand(), "search nothing-is-called-so", "no service", false},
		{"one category", servicesCommand(), "list --category preferences", "aircall", true},
		{"a site's own file", servicesCommand(), "show our-widget -c " + own, "widget.example", true},
		{"a sound file", servicesCommand(), "lint " + own, "nothing to complain about", true},
		{"a broken file", servicesCommand(), "lint " + broken, "broken.yaml:", false},
		{"a filter list", servicesCommand(), "import " + filters + " --category statistics", "vendor.example", true},
		{"what a filter list says that the catalogue cannot", servicesCommand(), "import " + filters + " --category statistics --verbose", `filters.txt:2: "||vendor.example^$popup": not about what`, true},
		{"a filter list into a file", servicesCommand(), "import " + filters + " --category statistics --output " + out, "services: 1, hosts: 0, rules: 1, cookies: 0; hosts and cookies that the catalogue has already: 1", true},
		{"that file is sound", servicesCommand(), "lint " + out, "nothing to complain about", true},
		{"a filter list without a category", servicesCommand(), "import " + filters, "nothing to import", false},
		{"a misspelt format", servicesCommand(), "import " + filters + " --format ghostry", `did you mean "ghostery"?`, false},
		{"a list that is not there", servicesCommand(), "import " + filters + ".txt", "no such file", false},
		{"a script that is blocked", explainCommand(), "https://www.googletagmanager.com/gtag/js?id=G-1", "is blocked", true},
		{"and where its rule stands", explainCommand(), "https://www.googletagmanager.com/gtag/js?id=G-1", "analytics.yaml:", true},
		{"once it is allowed", explainCommand(), "https://www.googletagmanager.com/gtag/js?id=G-1 --consent statistics", "passes", true},
		{"a host that nobody knows", explainCommand(), "//x.example/a.js", "block <category> x.example", true},
		{"its own", explainCommand(), "/a.js --from https://shop.example/cart", "the page's own", true},
		{"a service that the site moves", explainCommand(), "https://www.youtube.com/embed/x --kind frame --consent preferences --from https://shop.example/ --config " + config, "passes", true},
		{"and the line that moves it", explainCommand(), "https://www.youtube.com/embed/x --kind frame --from https://shop.example/ --config " + config, "Caddyfile:3", true},
		{"a host that the site allows", explainCommand(), "https://cdn.partner.example/a.js --from https://shop.example/ --config " + config, "Caddyfile:4", true},
		{"a host that the site blocks", explainCommand(), "https://stats.partner.example/a.js --from https://shop.example/ --config " + config, "Caddyfile:5", true},
		{"a service of the site's own file", explainCommand(), "https://widget.example/a.js --from https://shop.example/ --config " + config, "own.yaml:4", true},
		{"another site of the configuration", explainCommand(), "https://x.example/a.png --kind image --from https://a.more.example/ --config " + config, "is blocked", true},
		{"a site that it has not", explainCommand(), "/a.js --config " + config, "*.more.example, other.example, shop.example", false},
		{"a site in shadow mode", explainCommand(), "https://x.example/a.js --from https://SHOP.example/ --adapter caddyfile --config " + single, "the mode is shadow", true},
		{"not the directive for its errors", explainCommand(), "https://x.example/a.js --from https://shop.example/ --adapter caddyfile --config " + single, "is blocked", true},
		{"two directives at one host", explainCommand(), "https://x.example/a.js --from https://two.example/ --adapter caddyfile --config " + single, "2 directives stand at two.example", true},
		{"no configuration", explainCommand(), "/a.js --config " + config + ".no", "no such file", false},
		{"a wrong kind", explainCommand(), "/a.js --kind scrpt", `did you mean "script"?`, false},
		{"no page", explainCommand(), "/a.js --from shop.example", "is not the URL of a page", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := run(t, tt.cmd, strings.Fields(tt.args)...)
			if err != nil {
				out += err.Error()
			}
			if (err == nil) != tt.ok || !strings.Contains(out, tt.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
