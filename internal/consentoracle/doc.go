// Package consentoracle compares what rules/consent reads in consent strings of the IAB with what
// other decoders read. It is a module of its own, so that they are no dependencies of the project.
package consentoracle
