// Package e2e holds the tests that run the whole of it: a Caddy process built from this tree, a
// real upstream, and where a browser's behaviour is the question, headless Chromium on a closed
// network in which every host name leads back to the test.
//
// Environment:
//
//	CONSENT_BROWSER=1           run the tests that need Chromium or Firefox too (-timeout 30m)
//	CONSENT_BROWSER=all         the same, and open in them what a sample stands for otherwise (-timeout 90m)
//	CONSENT_CHROMIUM=path       the browser's executable
//	CONSENT_FIREFOX=path
//	CONSENT_SHARED=dir          where the shared test material lies (see internal/shared)
package e2e
