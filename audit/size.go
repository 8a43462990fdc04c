package audit

import (
	"math/big"

	"github.com/writhq/writ"
)

// A Plan says how sure an auditor wants to be of what a sample shows: attribute
// sampling, as AICPA's tables have it. Rates are in percent, as decimal text.
type Plan struct {
	Confidence string `json:"confidence"` // that there are not more deviations than tolerable: "95"
	Tolerable  string `json:"tolerable"`  // rate of deviations: "5"
	Expected   string `json:"expected"`   // rate of deviations: "0"
}

// Size returns how many of a population to look at, and how many deviations
// among them still support the conclusion. It is the smallest sample for which
// as few deviations would be as unlikely as the confidence asks, had the
// population the tolerable rate; computed with exact fractions, hypergeometric,
// or binomial for a population of 0, which stands for one without end. A
// population smaller than the sample is looked at whole.
func (p Plan) Size(population int64) (size, deviations int64, err error) {
	risk, tolerable, expected, err := p.rates()
	if err != nil {
		return 0, 0, err
	}
	for allowed := int64(0); allowed <= maxDeviations; allowed++ {
		n := smallest(allowed, func(n int64) bool { return unlikely(n, allowed, population, tolerable, risk) }, population)
		if n == 0 && population > 0 { // no sample says enough, so all are looked at
			return population, ceil(expectedOf(tolerable, population)) - 1, nil
		}
		if n == 0 {
			break
		}
		if expectedOf(expected, n).Cmp(new(big.Rat).SetInt64(allowed)) <= 0 {
			return n, allowed, nil
		}
	}
	return 0, 0, writ.Errorf(writ.Invalid, "the expected rate of %s %% is too near to the tolerable %s %% for sampling; test all of them", p.Expected, p.Tolerable)
}

const (
	maxDeviations = 50     // a sample that may have more is no sample
	maxSample     = 100000 // nor is a larger one
)

func (p Plan) rates() (risk, tolerable, expected *big.Rat, err error) {
	rates := make([]*big.Rat, 3)
	for i, text := range []string{p.Confidence, p.Tolerable, p.Expected} {
		r, ok := new(big.Rat).SetString(text)
		if !ok || r.Sign() < 0 || r.Cmp(hundred) >= 0 || i < 2 && r.Sign() == 0 || len(text) > 8 {
			return nil, nil, nil, writ.Errorf(writ.Invalid, "%q is no rate; write confidence, tolerable and expected as percent, such as 95, 5 and 0", text)
		}
		rates[i] = r.Quo(r, hundred)
	}
	if rates[2].Cmp(rates[1]) >= 0 {
		return nil, nil, nil, writ.Errorf(writ.Invalid, "the expected rate of %s %% is not below the tolerable %s %%; no sample could show that", p.Expected, p.Tolerable)
	}
	return new(big.Rat).Sub(big.NewRat(1, 1), rates[0]), rates[1], rates[2], nil
}

var hundred = big.NewRat(100, 1)

func expectedOf(rate *big.Rat, n int64) *big.Rat {
	return new(big.Rat).Mul(rate, new(big.Rat).SetInt64(n))
}

// smallest returns the smallest sample that is enough, or 0 if none is.
func smallest(allowed int64, enough func(int64) bool, population int64) int64 {
	most := population
	if most == 0 || most > maxSample {
		most = maxSample
	}
	high := allowed + 1
	for high < most && !enough(high) {
		high *= 2
	}
	if high = min(high, most); high <= allowed || !enough(high) {
		return 0
	}
	low := allowed // not enough
	for high-low > 1 {
		if middle := (low + high) / 2; enough(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// unlikely reports whether at most this many deviations in a sample of n have a
// probability of no more than risk, had the population the tolerable rate.
func unlikely(n, allowed, population int64, tolerable, risk *big.Rat) bool {
	ways, all := new(big.Int), new(big.Int)
	if population == 0 {
		bad, of := tolerable.Num(), tolerable.Denom()
		good := new(big.Int).Sub(of, bad)
		for x := int64(0); x <= min(allowed, n); x++ {
			term := new(big.Int).Binomial(n, x)
			term.Mul(term, power(bad, x))
			ways.Add(ways, term.Mul(term, power(good, n-x)))
		}
		all = power(of, n)
	} else {
		bad := ceil(expectedOf(tolerable, population))
		for x := int64(0); x <= min(allowed, n, bad); x++ {
			if n-x <= population-bad {
				term := new(big.Int).Binomial(bad, x)
				ways.Add(ways, term.Mul(term, new(big.Int).Binomial(population-bad, n-x)))
			}
		}
		all.Binomial(population, n)
	}
	return new(big.Rat).SetFrac(ways, all).Cmp(risk) <= 0
}

func power(base *big.Int, n int64) *big.Int { return new(big.Int).Exp(base, big.NewInt(n), nil) }

func ceil(r *big.Rat) int64 {
	up := new(big.Int).Add(r.Num(), new(big.Int).Sub(r.Denom(), big.NewInt(1)))
	return up.Div(up, r.Denom()).Int64()
}
