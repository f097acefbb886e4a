package substrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"bettensor/node/chain"
)

// Refusal is a request that the chain refuses by what is known of it already:
// nothing was sent. Read it with errors.As.
type Refusal struct {
	Code   chain.Code
	Detail string // what it is about; "" where the code's own words say it all
}

// Error says what is refused, why, and what to do.
func (r *Refusal) Error() string {
	if r.Detail != "" {
		return fmt.Sprintf("%s: %s", r.Code, r.Detail)
	}
	return fmt.Sprintf("%s: %s: %s", r.Code, r.Code.Meaning(), r.Code.Advice())
}

// BlockError is a block that was asked for by its number and cannot be read: there
// is none of that number yet, or it may still be undone. Read it with errors.As.
type BlockError struct{ Asked, Newest chain.Block }

// Error says up to which block there is something to read.
func (e *BlockError) Error() string {
	return fmt.Sprintf("block %d cannot be read: the newest that can is %d; give an earlier number, or none for the newest", e.Asked, e.Newest)
}

// Codes of a pool's refusals in JSON-RPC.
const (
	invalidTransaction = 1010
	unknownValidity    = 1011
	temporarilyBanned  = 1012
	alreadyImported    = 1013
	tooLowPriority     = 1014
	cycleDetected      = 1015
	immediatelyDropped = 1016
)

// notTaken: an endpoint answered a submission with an error that is none of a
// pool's.
const notTaken = chain.Code("SubmissionRefused")

// poolRefusal tells what an endpoint's answer to a submission says of the
// extrinsic. ok is false for errors that say nothing of it.
func poolRefusal(err error, op chain.Op) (code chain.Code, ok bool) {
	var e *rpcError
	if !errors.As(err, &e) {
		return "", false
	}
	switch e.Code {
	case invalidTransaction:
		return invalidity(e, op), true
	case unknownValidity:
		return chain.UnknownValidity, true
	case temporarilyBanned:
		return chain.TemporarilyBanned, true
	case alreadyImported:
		return chain.AlreadyImported, true
	case tooLowPriority:
		return chain.TooLowPriority, true
	case cycleDetected:
		return chain.CycleDetected, true
	case immediatelyDropped:
		return chain.ImmediatelyDropped, true
	}
	return "", false
}

var customText = regexp.MustCompile(`(?i)custom error:\s*(\d{1,3})`)

// invalidity reads why a transaction is invalid. Nodes say it as text ("Custom
// error: 6", "Transaction is outdated") or as the enum itself
// ({"invalid":{"custom":6}}, {"invalid":"stale"}, {"invalid":{"stale":null}}), in
// the error's data or its message.
func invalidity(e *rpcError, op chain.Op) chain.Code {
	text := e.Message
	var s string
	data := e.Data
	if json.Unmarshal(data, &s) == nil && s != "" {
		text, data = s, nil
	}
	if trimmed := strings.TrimSpace(text); len(data) == 0 && strings.HasPrefix(trimmed, "{") { // the enum again, in a text
		data = json.RawMessage(trimmed)
	}
	if reason, custom, ok := invalidReason(data); ok {
		if custom != nil {
			return customRefusal(*custom, op)
		}
		text = reason
	}
	if m := customText.FindStringSubmatch(text); m != nil {
		if n, err := strconv.ParseUint(m[1], 10, 8); err == nil {
			return customRefusal(uint8(n), op)
		}
	}
	lower := strings.ToLower(text)
	if lower == "call" || strings.Contains(lower, "call is not expected") {
		// Runtimes before there were numbers for it say so of weights that too little
		// stake stands behind.
		switch op {
		case chain.OpSetWeights, chain.OpCommitWeights, chain.OpRevealWeights, chain.OpCommitTimelocked:
			return chain.NotEnoughStakeToSetWeights
		}
		return chain.CallFiltered
	}
	for _, w := range invalidTexts {
		if strings.Contains(lower, w.text) {
			return w.code
		}
	}
	if text = strings.TrimSpace(text); text == "" || len(text) > 100 {
		return "InvalidTransaction"
	}
	return chain.Code(text)
}

// invalidTexts are Substrate's words for the variants of InvalidTransaction, and
// the variants themselves in lower case.
var invalidTexts = []struct {
	text string
	code chain.Code
}{
	{"outdated", chain.Stale}, {"stale", chain.Stale},
	{"in the future", chain.Future}, {"future", chain.Future},
	{"bad signature", chain.BadProof}, {"badproof", chain.BadProof},
	{"ancient birth", chain.AncientBirthBlock}, {"ancientbirthblock", chain.AncientBirthBlock},
	{"pay some fees", chain.Payment}, {"payment", chain.Payment},
	{"exhaust", chain.ExhaustsResources},
	{"mandatory", "BadMandatory"}, {"bad signer", "BadSigner"}, {"badsigner", "BadSigner"},
}

// invalidReason reads the enum of a refusal: {"invalid": R}, where R is a variant's
// name, or an object of the name and what it carries: {"custom": 6}, {"stale": null}.
func invalidReason(data json.RawMessage) (reason string, custom *uint8, ok bool) {
	var tagged struct {
		Invalid json.RawMessage `json:"invalid"`
	}
	if json.Unmarshal(data, &tagged) != nil || len(tagged.Invalid) == 0 {
		return "", nil, false
	}
	if json.Unmarshal(tagged.Invalid, &reason) == nil {
		return reason, nil, true
	}
	var carried struct{ Custom *uint8 }
	if json.Unmarshal(tagged.Invalid, &carried) == nil && carried.Custom != nil {
		return "", carried.Custom, true
	}
	var variant map[string]json.RawMessage
	if json.Unmarshal(tagged.Invalid, &variant) != nil || len(variant) != 1 {
		return "", nil, false
	}
	for reason = range variant { // it is one
	}
	return reason, nil, true
}

// earlier are the names that older runtimes had for what is refused by another
// name now.
var earlier = map[string]chain.Code{
	"NoValidatorPermit":          chain.NeuronNoValidatorPermit,
	"NotRegistered":              chain.HotKeyNotRegisteredInSubNet,
	"AlreadyRegistered":          chain.HotKeyAlreadyRegisteredInSubNet,
	"IncorrectNetworkVersionKey": chain.IncorrectWeightVersionKey,
	"InvalidUid":                 chain.UidVecContainInvalidOne,
	"TooManyUids":                chain.UidsLengthExceedUidsInSubNet,
	"NotSettingEnoughWeights":    chain.WeightVecLengthIsLow,
	"NetworkDoesNotExist":        chain.SubnetNotExists,
	"SubNetworkDoesNotExist":     chain.SubnetNotExists,
}

// dispatchRefusal names a refusal in a block. Errors of other pallets keep the
// pallet's name.
func dispatchRefusal(pallet, name string) chain.Code {
	if code, ok := earlier[name]; ok && pallet == subtensor {
		return code
	}
	if pallet != "" && pallet != subtensor && pallet != "System" {
		return chain.Code(pallet + "." + name)
	}
	return chain.Code(name)
}

// customRefusal names a code of Subtensor's own. One number means several things:
// what it means here follows from what was asked.
func customRefusal(n uint8, op chain.Op) chain.Code {
	commit := op == chain.OpCommitWeights || op == chain.OpCommitTimelocked
	switch n {
	case 0:
		return chain.ColdkeySwapAnnounced
	case 1:
		return chain.NotEnoughStakeToSetWeights
	case 2:
		return chain.InsufficientBalance
	case 3:
		return chain.SubnetNotExists
	case 4:
		return chain.HotKeyAccountNotExists
	case 6:
		switch {
		case op == chain.OpServeAxon:
			return chain.ServingRateLimitExceeded
		case commit:
			return chain.CommittingWeightsTooFast
		}
		return chain.SettingWeightsTooFast
	case 10:
		if op == chain.OpServeAxon {
			return chain.HotKeyNotRegisteredInNetwork
		}
		return chain.HotKeyNotRegisteredInSubNet
	case 11:
		return chain.InvalidIpAddress
	case 12:
		return chain.ServingRateLimitExceeded
	case 13:
		return chain.InvalidPort
	case 15:
		return chain.InvalidRevealRound
	case 16:
		return chain.NoWeightsCommitFound
	case 17:
		return chain.RevealTooEarly
	case 18:
		return chain.InputLengthsUnequal
	case 19:
		return chain.HotKeyNotRegisteredInSubNet
	case 21:
		return chain.ColdkeySwapDisputed
	case 255:
		return chain.BadRequest
	}
	return chain.Code("Custom" + strconv.Itoa(int(n)))
}
