package rewriter

import (
	"encoding/base64"
	"io"
	"testing"

	"github.com/caddy-consent/caddy-consent/rules"
)

func TestPlaylists(t *testing.T) {
	p := policy(t, "block")
	inner := base64.StdEncoding.EncodeToString([]byte("#EXTM3U\n#EXTINF:9,\nhttps://tracker.test/a.ts\n"))
	for _, tt := range []struct {
		name, lines string
		blocked     bool
	}{
		{"media of the site", "#EXTINF:9,\na.ts\n/b.ts\r\nhttps://site.test/c.ts", false},
		{"media of a third party", "#EXTINF:9,\na.ts\nhttps://tracker.test/a.ts", true},
		{"with carriage returns", "#EXTINF:9,\r\nhttps://tracker.test/a.ts\r\n", true},
		{"without a scheme", "#EXTINF:9,\n//tracker.test/a.ts", true},
		{"with backslashes", "#EXTINF:9,\nhttps:\\\\tracker.test/a.ts", true},
		{"a variant", "#EXT-X-STREAM-INF:BANDWIDTH=9\nhttps://tracker.test/a.m3u8", true},
		{"a key", "#EXT-X-KEY:METHOD=AES-128,URI=\"https://tracker.test/key\"\na.ts", true},
		{"a map behind another value", "#EXT-X-MAP:BYTERANGE=\"9@0\",URI=\"//tracker.test/m.mp4\"\na.ts", true},
		{"a key of the site", "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\na.ts", false},
		{"a quote that does not end", "#EXT-X-KEY:METHOD=AES-128,URI=\"//tracker.test/key\na.ts", true},
		{"a quote too many", "#EXT-X-KEY:METHOD=\"AES-128,URI=\"//tracker.test/key\"\na.ts", true},
		{"a variable that is a host", "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"tracker.test\"\nhttps://{$h}/a.ts", true},
		{"a variable that is a part of one", "https://site.test{$h}/a.ts", true},
		{"a variable that may be a URL", "{$h}a.ts", true},
		{"a variable behind a slash", "/{$h}/a.ts", true},
		{"a variable that is a whole URL", "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"https://tracker.test\"\n{$h}/a.ts", true},
		{"a variable that is a URL in a query", "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"https://tracker.test\"\na.ts?from={$h}", false},
		{"a variable in a tag", "#EXT-X-KEY:METHOD=AES-128,URI=\"{$h}/key\"\na.ts", true},
		{"a variable that is a number", "#EXT-X-STREAM-INF:CODECS=\"a\",BANDWIDTH={$b}\na.m3u8", false},
		{"a variable in a path", "https://site.test/{$v}/a.ts\n/media/{$v}.ts", false},
		{"a playlist in a data: URL", "#EXT-X-STREAM-INF:BANDWIDTH=9\ndata:application/x-mpegurl;base64," + inner, true},
		{"a key in a data: URL", "#EXT-X-KEY:METHOD=AES-128,URI=\"data:text/plain;base64,AAAA\"\na.ts", false},
		{"a variable behind a name", "v1{$v}.ts\nv.ts?t={$v}\na_b{$v}.ts\nmedia/{$v}\n.{$v}/a.ts\n/a{$v}", false},
		{"a variable behind what may become a scheme", "htt{$v}", true},
		{"a variable behind a slash and a tab", "/\t{$v}", true},
		{"a variable behind a scheme", "https:{$v}", true},
		{"a variable behind backslashes", "a\\{$v}", true},
		{"a variable in a data: URL with slashes", "#EXT-X-DEFINE:NAME=\"x\",VALUE=\"%23EXTM3U%0Ahttps:%2F%2Ftracker.test%2Fa.ts\"\n#EXT-X-STREAM-INF:BANDWIDTH=9\ndata:application/x-mpegurl;a=//b/,{$x}", true},
		{"a variable in a name", "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{$g}\",NAME=\"{$n}\",URI=\"a.m3u8\"", false},
		{"data of the session", "#EXT-X-SESSION-DATA:DATA-ID=\"a\",VALUE=\"https://tracker.test/a.png\"\na.ts", false},
		{"data of the session in a file", "#EXT-X-SESSION-DATA:DATA-ID=\"a\",URI=\"https://tracker.test/a.json\"\na.ts", true},
		{"what a script of the site reads of an advertisement", "#EXT-X-DATERANGE:ID=\"a\",CLASS=\"ad\",X-AD-URL=\"https://tracker.test/a\"\na.ts", false},
		{"an interstitial", "#EXT-X-DATERANGE:ID=\"a\",X-ASSET-URI=\"https://tracker.test/a.m3u8\"\na.ts", true},
		{"a list of interstitials", "#EXT-X-DATERANGE:ID=\"a\",X-ASSET-LIST=\"https://tracker.test/a.json\"\na.ts", true},
		{"content steering", "#EXT-X-CONTENT-STEERING:SERVER-URI=\"https://tracker.test/a.json\"\na.m3u8", true},
		{"a title with a URL", "#EXTINF:9 logo=\"https://tracker.test/a.png\",A\na.ts", false},
		{"a comment with a URL in quotes", "# \"https://tracker.test/a.ts\"\na.ts", false},
		{"a quote within another value", "#EXT-X-MAP:A=b\"c,URI=\"//tracker.test/m.mp4\"\na.ts", true},
		{"white space in a tag", "#EXT-X-KEY:METHOD=AES-128, URI = \"//tracker.test/key\"\na.ts", true},
		{"a comment", "# https://tracker.test/a.ts\na.ts", false},
	} {
		for _, all := range []bool{false, true} {
			o := Options{Policy: p, Page: rules.NewPage("https", "site.test")}
			if all {
				o.Policy = p.Site().For(rules.Grants{Allowed: rules.Optional})
			}
			r := New(io.Discard, o)
			text := []byte("#EXTM3U\n" + tt.lines)
			if got := IsPlaylist(text) && r.PlaylistBlocked(text); got != (tt.blocked && !all) {
				t.Errorf("%s, all allowed %v: blocked %v", tt.name, all, got)
			}
		}
	}
}
