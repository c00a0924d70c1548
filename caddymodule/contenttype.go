package caddymodule

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/caddy-consent/caddy-consent/rewriter"
)

// sniffLen is how many bytes of a body without a type are looked at for it (net/http, DetectContentType).
const sniffLen = 512

// sniffed reports whether more bytes cannot change whether a body is taken for HTML: it is by a tag at
// its beginning alone (MIME Sniffing, 7.1).
func sniffed(first []byte) bool {
	if strings.HasPrefix(http.DetectContentType(first), "text/html") {
		return true
	}
	text := bytes.TrimLeft(first, "\t\n\f\r ")
	return len(text) >= 16 && text[0] != '<'
}

// turboStream is the type of HTML fragments that Turbo puts into pages.
const turboStream = "text/vnd.turbo-stream.html"

// isXML reports whether browsers read documents of that type by the rules of XML.
func isXML(mediaType string) bool {
	switch mediaType {
	case "application/xml", "text/xml", "image/svg+xml", "text/xsl", "application/xslt+xml",
		"application/mathml+xml", "application/rdf+xml": // to Chromium text/xsl, before it gave up XSLT, to Firefox the last two
		return true
	}
	return strings.HasSuffix(mediaType, "xhtml+xml")
}

// contentType returns the lower-case media type, and whether browsers take it at its word (MIME Sniffing, 5.1 and 7: an
// absent, malformed or "unknown" type is sniffed). Of several types browsers believe the last that is one, but not all the
// same (Fetch Standard, "extract a MIME type"), and some take one for it that is malformed: then only is the value
// that says to all of them what is returned.
func contentType(h http.Header) (mediaType string, typed bool, only string) {
	lines := h["Content-Type"]
	if len(lines) == 0 {
		return "", false, ""
	}
	if t, plain := mediaTypeOf(lines[0]); plain && len(lines) == 1 && strings.IndexByte(lines[0], ',') < 0 {
		return t, !isUnknown(t), ""
	}
	charset, values, plain, page := "", 0, false, false
	for rest := strings.Join(lines, ","); rest != ""; values++ {
		var v, t string
		v, rest = nextType(rest)
		if t, plain = mediaTypeOf(v); t == "" || t == "*/*" {
			continue
		}
		if t != mediaType {
			mediaType, charset = t, ""
		}
		page = page || mayBePage(t) || isUnknown(t) || t == "text/css"
		if c := rewriter.HeaderCharset(v); c != "" {
			charset = c
		}
	}
	if only = mediaType; charset != "" {
		only += "; charset=" + charset
	}
	if len(lines) == 1 && values == 1 && plain || !page {
		only = "" // the comma is in a parameter, or it does not matter
	}
	return mediaType, mediaType != "" && !isUnknown(mediaType), only
}

// mayBePage reports whether browsers show, or put into pages, what is of that type as markup.
func mayBePage(mediaType string) bool {
	return mediaType == "text/html" || mediaType == turboStream || mediaType == "multipart/x-mixed-replace" || strings.HasSuffix(mediaType, "+xml") || isXML(mediaType)
}

// isUnknown reports whether browsers sniff what is of that type; the last is Firefox's own word for what has none.
func isUnknown(mediaType string) bool {
	switch mediaType {
	case "unknown/unknown", "application/unknown", "*/*", "application/x-unknown-content-type":
		return true
	}
	return false
}

// nextType cuts the first of the types in a header off at the comma behind it, unless that is quoted.
func nextType(s string) (first, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == ',' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// mediaTypeOf returns the lower-case media type of one value, "" if there is none, and whether all browsers read it so:
// what stands behind white space or a parenthesis is no part of it to some, and Chromium takes white space before a quoted
// parameter.
func mediaTypeOf(v string) (mediaType string, plain bool) {
	all, _, _ := strings.Cut(v, ";")
	all = strings.ToLower(strings.Trim(all, " \t"))
	mediaType = all
	if i := strings.IndexAny(all, " \t("); i >= 0 {
		mediaType = all[:i]
	}
	if typ, sub, ok := strings.Cut(mediaType, "/"); !ok || !isToken(typ) || !isToken(sub) {
		return "", false
	}
	return mediaType, len(mediaType) == len(all) && !strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) && !spacedQuote(v)
}

// spacedQuote reports whether white space stands between an equals sign and a quote.
func spacedQuote(v string) bool {
	for rest := v; ; {
		_, after, ok := strings.Cut(rest, "=")
		if !ok {
			return false
		}
		if rest = strings.TrimLeft(after, " \t"); len(rest) < len(after) && strings.HasPrefix(rest, `"`) {
			return true
		}
	}
}
