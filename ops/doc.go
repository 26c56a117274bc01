// Package ops is what operators see: metrics and logs. It imports no other room;
// what it shows is told to it through the methods of Metrics and through the
// small functions of Sources, which the application connects.
package ops
