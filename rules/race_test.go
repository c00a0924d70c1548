//go:build race

package rules

// raceDetector tells that a sync.Pool drops what it is given at random, so that counts of
// allocations mean nothing.
const raceDetector = true
