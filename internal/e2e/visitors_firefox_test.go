package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A marionette drives a Firefox as a visitor would: its remote protocol is JSON with its length in front.
type marionette struct {
	conn net.Conn
	in   *bufio.Reader
	id   int
}

// driveFirefox starts the browser with its remote protocol on, and a session with it.
func driveFirefox(t testing.TB, f *firefoxRun) *marionette {
	t.Helper()
	port := freePort(t)
	f.prefs = fmt.Sprintf("user_pref(\"marionette.port\", %d);\nuser_pref(\"remote.prefs.recommended\", false);\n", port)
	f.first, f.args = "about:blank", []string{"--marionette", "--remote-allow-system-access"}
	if err := f.begin(); err != nil {
		t.Fatal("starting Firefox: ", err)
	}
	m := &marionette{}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var err error
		if m.conn, err = net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("Firefox cannot be driven: ", err)
		}
	}
	t.Cleanup(func() { m.conn.Close() })
	m.in = bufio.NewReader(m.conn)
	if _, err := m.receive(); err != nil { // the greeting
		t.Fatal(err)
	}
	if _, err := m.do("WebDriver:NewSession", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"unhandledPromptBehavior": "dismiss", "pageLoadStrategy": "none"}}}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *marionette) receive() (msg json.RawMessage, err error) {
	_ = m.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	size, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil {
		return nil, err
	}
	msg = make([]byte, n)
	_, err = io.ReadFull(m.in, msg)
	return msg, err
}

// do gives a command and returns what becomes of it.
func (m *marionette) do(command string, params any) (json.RawMessage, error) {
	m.id++
	b, err := json.Marshal([]any{0, m.id, command, params})
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(b), b); err != nil {
		return nil, err
	}
	for {
		msg, err := m.receive()
		if err != nil {
			return nil, err
		}
		var answer []json.RawMessage
		if err := json.Unmarshal(msg, &answer); err != nil || len(answer) != 4 {
			return nil, fmt.Errorf("%s: %v", msg, err)
		}
		if string(answer[1]) != strconv.Itoa(m.id) {
			continue
		}
		if string(answer[2]) != "null" {
			return nil, fmt.Errorf("%s: %s", command, answer[2])
		}
		return answer[3], nil
	}
}

// run runs a script in the page, or with chrome in the browser, and returns its value.
func (m *marionette) run(script string, chrome bool) (v json.RawMessage) {
	if chrome {
		_, _ = m.do("Marionette:SetContext", map[string]any{"value": "chrome"})
		defer m.do("Marionette:SetContext", map[string]any{"value": "content"})
	}
	out, _ := m.do("WebDriver:ExecuteScript", map[string]any{"script": script, "args": []any{}})
	var answer struct{ Value json.RawMessage }
	_ = json.Unmarshal(out, &answer)
	return answer.Value
}

// open goes to a page and waits until it has loaded.
func (m *marionette) open(url string) error {
	if _, err := m.do("WebDriver:Navigate", map[string]any{"url": url}); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if v := string(m.run("return document.readyState + ' ' + location.href", false)); strings.HasPrefix(v, `"complete `) && strings.Contains(v, "://") {
			break
		}
	}
	time.Sleep(250 * time.Millisecond)
	return nil
}

// stay makes links and forms lead nowhere, since a visitor is free to follow them; their pings stay.
const stay = `for (const e of document.querySelectorAll('*')) {
	if (/^(a|area)$/.test(e.localName)) for (const n of ['href', 'xlink:href']) if (e.hasAttribute(n) && !e.getAttribute(n).startsWith('#')) e.setAttribute(n, '#x');
	for (const n of ['action', 'formaction']) if (e.hasAttribute(n)) e.setAttribute(n, '/driver/none');
}`

// act does with the open page what visitors do.
func (m *marionette) act() {
	pause := func(ms int) { time.Sleep(time.Duration(ms) * time.Millisecond) }
	prefer := func(dark, motion, contrast int, more string) {
		m.run(fmt.Sprintf(`Services.prefs.setIntPref("layout.css.prefers-color-scheme.content-override", %d); Services.prefs.setIntPref("ui.systemUsesDarkTheme", %d); Services.prefs.setIntPref("ui.prefersReducedMotion", %d);
Services.prefs.setIntPref("browser.display.document_color_use", %d);%s`, 1-dark, dark, motion, contrast, more), true)
	}
	m.run(stay, false)
	prefer(1, 1, 2, `Services.prefs.setStringPref("layout.css.devPixelsPerPx", "3");`)
	pause(60)
	prefer(1, 0, 0, "")
	pause(40)
	_, _ = m.do("WebDriver:SetWindowRect", map[string]any{"width": 460, "height": 700})
	pause(80)
	prefer(0, 0, 0, `Services.prefs.clearUserPref("layout.css.devPixelsPerPx");`)
	_, _ = m.do("WebDriver:SetWindowRect", map[string]any{"width": 1200, "height": 800})
	_, _ = m.do("WebDriver:Print", map[string]any{"background": true})

	type action = map[string]any
	point := func(clicks bool) {
		var at [][2]float64
		_ = json.Unmarshal(m.run("return "+places, false), &at)
		actions := []action{}
		for _, p := range at {
			actions = append(actions, action{"type": "pointerMove", "duration": 0, "x": int(p[0]), "y": int(p[1])}, action{"type": "pause", "duration": 15})
			if clicks {
				actions = append(actions, action{"type": "pointerDown", "button": 0}, action{"type": "pause", "duration": 15}, action{"type": "pointerUp", "button": 0})
			}
		}
		_, _ = m.do("WebDriver:PerformActions", map[string]any{"actions": []action{{"type": "pointer", "id": "mouse", "parameters": action{"pointerType": "mouse"}, "actions": actions}}})
		pause(60)
	}
	for range 2 {
		point(false)
		pause(250)
		point(true)
	}
	const escape, tab, down = "\ue00c", "\ue004", "\ue015" // WebDriver, 17.4.2
	keys := []action{}
	for _, k := range append(slices.Repeat([]string{tab, "a", down, " "}, 5), escape) {
		keys = append(keys, action{"type": "keyDown", "value": k}, action{"type": "keyUp", "value": k})
	}
	_, _ = m.do("WebDriver:PerformActions", map[string]any{"actions": []action{{"type": "key", "id": "keys", "actions": keys}}})
	m.run(`document.querySelectorAll('video,audio').forEach(v => { v.muted = true; v.play().catch(() => {}); for (const t of v.textTracks) t.mode = 'showing' }); getSelection().selectAllChildren(document.body); document.body.requestFullscreen?.().catch(() => {}); scrollTo(0, 1e6)`, false)
	pause(150)
	m.run(`document.exitFullscreen?.().catch(() => {}); scrollTo(0, 0)`, false)
	_, _ = m.do("WebDriver:ReleaseActions", map[string]any{})
}

// visitWith makes a visit to a page of its own, not a frame, and keeps what it contacts.
func (f *firefoxRun) visitWith(m *marionette, x *visit) {
	f.mu.Lock()
	f.slots = 1
	f.open = map[string]*visit{"1": x}
	f.mu.Unlock()
	if x.err = m.open("http://site.test" + x.path()); x.err == nil && x.acts {
		m.act()
	}
	time.Sleep(200 * time.Millisecond)
	_, _ = m.do("WebDriver:Navigate", map[string]any{"url": "about:blank"})
}

// The same as TestVisitorsWhoActInChromium, in Firefox.
func TestVisitorsWhoActInFirefox(t *testing.T) {
	firefox(t)
	made, random, files := visited(19)
	vs := slices.Concat(made, random)
	c := vectorSite(t, slices.Concat(vs, files))
	f := startFirefox(t, c.addr("8080"))
	m := driveFirefox(t, f)
	var enforced []*visit
	for _, v := range vs {
		x := visit{scripting: true, acts: true}.of(v)
		enforced = append(enforced, x)
		f.visitWith(m, x)
	}
	noContacts(t, enforced)
	caused, some := 0, made[:min(len(made), 40)]
	for _, v := range some {
		opened, acted := visit{scripting: true, direct: true}.of(v), visit{scripting: true, direct: true, acts: true}.of(v)
		f.visitWith(m, opened)
		f.visitWith(m, acted)
		if len(acted.contacts) > 0 && len(opened.contacts) == 0 {
			caused++
		} else {
			t.Logf("%s: opened: %s, acted: %s %v", v.ID, opened.contacts, acted.contacts, acted.err)
		}
	}
	t.Logf("not enforced, what is done on %d of %d pages contacts a blocked host", caused, len(some))
	if caused*3 < len(some) {
		t.Error("too few")
	}
}
