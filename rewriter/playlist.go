package rewriter

import (
	"bytes"

	"github.com/caddy-consent/caddy-consent/rules"
)

const playlistHeader = "#EXTM3U"

// PlaylistHeader is how many bytes of a file tell whether it is a media playlist.
const PlaylistHeader = len(playlistHeader)

// maxPlaylists is how deep playlists in data: URLs of playlists are read.
const maxPlaylists = 4

// IsPlaylist reports whether a file with these first bytes is a media playlist (RFC 8216, 4.3.1.1). Chromium takes it
// for one whatever type it has.
func IsPlaylist(first []byte) bool { return bytes.HasPrefix(first, []byte(playlistHeader)) }

// PlaylistBlocked reports whether a media playlist, given whole, names anything that the policy blocks: media and
// further playlists in lines of their own, keys and others in the quoted values of tags (RFC 8216, 4.1 and 4.2).
func (r *Rewriter) PlaylistBlocked(text []byte) bool { return r.playlist(text, 0) }

func (r *Rewriter) playlist(text []byte, depth int) bool {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		switch {
		case len(line) == 0:
		case line[0] != '#':
			if r.playlistURL(line, depth) {
				return true
			}
		case bytes.HasPrefix(line, []byte("#EXT-X-")): // others hold no URL, or are comments
			if r.playlistTag(line, depth) {
				return true
			}
		}
	}
	return false
}

// playlistTag looks at each quoted value that stands behind a name, since a quote may also be a part of another value.
func (r *Rewriter) playlistTag(line []byte, depth int) bool {
	for from := 0; ; {
		n := bytes.IndexByte(line[from:], '"')
		if n < 0 {
			return false
		}
		before := line[:from+n]
		from += n + 1
		value, _, _ := bytes.Cut(line[from:], []byte(`"`))
		if namesURL(before) && (r.withHost(value) != nil || schemeOf(value) == schemeData || bytes.Contains(value, []byte(variable))) && r.playlistURL(value, depth) {
			return true
		}
	}
}

// namesURL reports whether the name of an attribute ends there of which players fetch the value: URI, those that end in -URI,
// or X-ASSET-LIST (RFC 8216, 4.3, and its successor). Values of variables count where they are used.
func namesURL(before []byte) bool {
	name, ok := bytes.CutSuffix(bytes.TrimRight(before, " \t"), []byte("="))
	name = bytes.TrimRight(name, " \t")
	for _, end := range [...]string{"uri", "x-asset-list"} {
		if n := len(name) - len(end); ok && n >= 0 && equalFold(name[n:], end) {
			return true
		}
	}
	return false
}

// variable begins the name of a variable whose value a player puts in its place.
const variable = "{$"

func (r *Rewriter) playlistURL(url []byte, depth int) bool {
	before, _, variables := bytes.Cut(url, []byte(variable))
	if variables && (schemeOf(url) == schemeData || !endsHost(before)) {
		if r.o.Policy.AllAllowed() {
			return false
		}
		r.record(0, rules.Resource{Kind: rules.KindMedia, URL: str(url), Page: r.page}, ambiguous("ambiguous:playlist"))
		return true
	}
	if schemeOf(url) != schemeData {
		return r.decide(0, rules.KindMedia, url).Action == rules.Block
	}
	defer r.dropData(len(r.data))
	_, body, ok := r.parseData(url, false)
	if isPath(url) && !r.o.Policy.AllAllowed() {
		r.recordPath(0, rules.KindMedia)
		return true
	}
	return ok && IsPlaylist(body) && (depth == maxPlaylists && !r.o.Policy.AllAllowed() || r.playlist(body, depth+1))
}

// endsHost reports whether nothing behind the begin of a URL can change its host.
func endsHost(begin []byte) bool {
	if i := bytes.Index(begin, []byte("//")); i >= 0 {
		return bytes.IndexByte(begin[i+2:], '/') > 0
	}
	for i, c := range begin {
		switch {
		case c <= ' ' || c == ':' || c == '\\':
			return false
		case c == '/' && i == 0:
		case !isLetter(c) || begin[0] == '/':
			return true // no scheme, and not two slashes
		}
	}
	return false
}
