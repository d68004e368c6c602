// Package storetest is the suite that every store must pass: the verbs one by one, and the races that the
// promises about tokens rest on.
package storetest

import (
	"testing"

	"github.com/genkan-mcp/genkan/internal/store"
)

// Open makes a store for one test: empty, and closed by the test's cleanup.
type Open func(t *testing.T) store.Store

// Run checks that a backend keeps the contract of store.Store.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name  string
		check func(*testing.T, store.Store)
	}{
		{"CreateThenGetReturnsWhatWasStored", createThenGet},
		{"CreateOfAnExistingRecordIsRefused", createTwice},
		{"GetOfAMissingRecordSaysSo", getMissing},
		{"KindsAreApart", kindsAreApart},
		{"TakeReturnsAndRemoves", takeOnce},
		{"SwapReplacesEverythingAndChangesTheRevision", swapReplaces},
		{"SwapOfAnOldRevisionIsAConflict", swapConflict},
		{"SwapOfARecordThatCameAgainIsAConflict", swapAfterRecreate},
		{"ExpiredRecordsStayUntilTheyAreSwept", sweepRemovesExpired},
		{"SweepObeysAChangedExpiry", sweepObeysSwap},
		{"DeleteOwnerRemovesOnlyThatOwnersKind", deleteOwner},
		{"DeleteOwnerFollowsAChangedOwner", deleteOwnerFollowsSwap},
		{"DeleteOwnerWithoutAnOwnerIsRefused", deleteNobody},
		{"ListPagesInOrder", listPages},
		{"ListNarrowsToAnOwner", listOwner},
		{"ValuesAreCopies", valuesAreCopies},
		{"AnyBytesSurvive", anyBytes},
		{"LargeValuesSurvive", largeValues},
		{"ACancelledCallFailsLikeABrokenStore", cancelled},
		{"RaceOneCreateWins", raceCreate},
		{"RaceOneTakeWins", raceTake},
		{"RaceOneSwapWins", raceSwap},
		{"RaceCountingLosesNothing", raceCount},
		{"RaceTakeAgainstSwapHasOneOutcome", raceTakeSwap},
		{"RaceListSeesNoTornRecord", raceList},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, open(t)) })
	}
}
