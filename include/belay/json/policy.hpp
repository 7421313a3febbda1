// SPDX-License-Identifier: MIT
/// \file belay/json/policy.hpp
/// policies::read_policy, read_policies: policies that are written in JSON; needs nlohmann/json.
#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>     // std::ranges::find
#include <cstddef>       // std::size_t
#include <cstdint>       // std::int64_t, std::uint32_t, std::uint64_t
#include <functional>    // std::less
#include <limits>        // std::numeric_limits
#include <map>           // std::map
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <variant>       // std::variant, std::visit
#include <vector>        // std::vector

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/core/result.hpp>
#include <belay/policy/any_policy.hpp>
#include <belay/policy/rules.hpp>

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// An error in a text of policies, with its place.
///
/// Names of the text are shortened to 40 characters.
struct TextError {
    std::string policy{};   ///< the name of the policy; empty if the text is of one policy
    std::string rule{};     ///< the rule; empty if the error is not in a rule
    std::string field{};    ///< the field of the rule; empty if the rule itself is wrong
    std::string problem{};  ///< what is wrong, and what to write
    /// The errors of the other rules, and of the other policies: one for each rule, at most 15.
    std::vector<TextError> others{};

    /// Returns all of it, with a line for each error:
    /// `rule "backoff", field "cap": 30 has no unit; write "30s" or "30ms"`.
    [[nodiscard]] std::string message() const {
        std::string text = line();
        for (const TextError& other : others) (text += '\n') += other.line();
        return text;
    }
    /// Adds an error, if there are not too many. It may have others.
    void add(TextError other) {
        constexpr std::size_t others_max = 15;
        std::vector<TextError> more = std::move(other.others);
        other.others.clear();
        if (others.size() < others_max) others.push_back(std::move(other));
        for (TextError& one : more) {
            if (others.size() < others_max) others.push_back(std::move(one));
        }
    }

private:
    [[nodiscard]] std::string line() const {
        std::string text;
        const auto add = [&text](std::string_view what, const std::string& name) {
            if (name.empty()) return;
            if (!text.empty()) text += ", ";
            ((text += what) += " \"") += name;
            text += '"';
        };
        add("policy", policy);
        add("rule", rule);
        add("field", field);
        return text.empty() ? problem : text + ": " + problem;
    }
};

}}}  // namespace belay::policies

namespace belay { inline namespace BELAY_ABI { namespace detail {

using PolicyJson = nlohmann::json;

/// A text of JSON for an error message, which a hostile text cannot make long.
[[nodiscard]] inline std::string shortened(const PolicyJson& value) {
    if (value.is_structured()) return value.is_array() ? "a list" : "an object";
    constexpr std::size_t shown_max = 40;
    std::string text = value.dump(-1, ' ', true, PolicyJson::error_handler_t::replace);
    if (text.size() <= shown_max) return text;
    text.resize(shown_max);
    return text + "...";
}
[[nodiscard]] inline std::string shortened_name(std::string_view name) {
    constexpr std::size_t shown_max = 40;
    std::string text;
    for (const char c : name.substr(0, shown_max)) text += c >= ' ' && c <= '~' ? c : '?';
    return name.size() > shown_max ? text + "..." : text;
}

/// A growth that a text chooses.
struct TextGrowth {
    std::variant<decltype(Exponential{Duration{1}, 2.0}), Linear, Constant, Fibonacci> growth;

    [[nodiscard]] Duration operator()(std::uint64_t failures) const noexcept {
        return std::visit([failures](const auto& g) { return g(failures); }, growth);
    }
    [[nodiscard]] BackoffErrc check() const noexcept {
        return std::visit([](const auto& g) { return g.check(); }, growth);
    }
};

/// Adds an error to the first one.
inline void add_error(std::optional<policies::TextError>& first, policies::TextError error) {
    if (first) {
        first->add(std::move(error));
    } else {
        first = std::move(error);
    }
}

/// The rules that a text may have. Their order in the policy does not depend on the text.
struct TextRules {
    std::optional<Backoff<policies::AnyJitter, Floor<Cap>, TextGrowth>> backoff{};
    std::optional<Backoff<DecorrelatedJitter, Cap>> decorrelated{};
    std::optional<Backoff<SmoothJitter, Cap>> smooth{};
    std::optional<CooldownOn> cooldown_on{};
    std::optional<Breaker<>> breaker{};
    std::optional<StopOn> stop_on{};
    std::optional<AttemptTimeout> attempt_timeout{};
    std::optional<ResetWhenStable> reset_when_stable{};
    std::optional<SpreadHint> spread_hint{};
    std::optional<MaxElapsed> max_elapsed{};
    std::optional<MaxAttempts> max_attempts{};

    // Rules that lengthen a plan come before those that limit it.
    [[nodiscard]] policies::AnyPolicy policy() const {
        return policies::AnyPolicy{Policy{backoff, decorrelated, smooth, cooldown_on, breaker,
                                          stop_on, attempt_timeout, reset_when_stable, spread_hint,
                                          max_elapsed, max_attempts}};
    }
};

/// Reads the rules of one policy. Every function throws a TextError for what it cannot read. That
/// of read() has the errors of all rules.
class PolicyTextReader {
public:
    explicit PolicyTextReader(std::string policy) : where_{.policy = std::move(policy)} {}

    [[nodiscard]] policies::AnyPolicy read(const PolicyJson& rules) {
        if (!rules.is_object()) fail("a policy must be an object of rules, not " + shown(rules));
        std::optional<policies::TextError> wrong;
        for (const auto& [name, value] : rules.items()) {
            try {
                read_rule(name, value);
            } catch (policies::TextError& error) {
                add_error(wrong, std::move(error));
            }
        }
        if (wrong) throw std::move(*wrong);
        where_.rule.clear();
        const bool waits = rules_.backoff || rules_.decorrelated || rules_.smooth;
        if (!waits && !rules_.max_attempts) {
            fail("no rule waits or stops; add \"backoff\" or \"max_attempts\"");
        }
        return rules_.policy();
    }

private:
    [[noreturn]] void fail(std::string problem) const {
        policies::TextError error = where_;
        error.problem = std::move(problem);
        throw error;
    }
    [[nodiscard]] static std::string shown(const PolicyJson& value) { return shortened(value); }

    void read_rule(const std::string& name, const PolicyJson& value) {
        where_.rule = shortened_name(name);
        where_.field.clear();
        if (name == "backoff") return read_backoff(value);
        if (name == "cooldown_on") return read_cooldown(value);
        if (name == "breaker") return read_breaker(value);
        if (name == "stop_on" || name == "retry_on") return read_causes(name == "retry_on", value);
        if (name == "spread_hint") return read_spread(value);
        if (name == "attempt_timeout") {
            rules_.attempt_timeout.emplace(time(value, Duration{1}));
        } else if (name == "reset_when_stable") {
            rules_.reset_when_stable.emplace(time(value, Duration{0}));
        } else if (name == "max_elapsed") {
            rules_.max_elapsed.emplace(time(value, Duration{0}));
        } else if (name == "max_attempts") {
            rules_.max_attempts.emplace(number<std::uint64_t>(value, 1, 1'000'000'000));
        } else {
            fail(
                "there is no such rule; the rules are attempt_timeout, backoff, breaker, "
                "cooldown_on, max_attempts, max_elapsed, reset_when_stable, retry_on, "
                "spread_hint and stop_on");
        }
    }

    void read_backoff(const PolicyJson& value) {
        fields(value, {"base", "cap", "factor", "floor", "growth", "jitter", "percent"});
        const Duration base = time(field(value, "base"), Duration{1});
        const Cap cap{time(field(value, "cap"), Duration{1})};
        const std::string jitter = word(value, "jitter").value_or("full");
        if (jitter == "decorrelated" || jitter == "smooth") {
            for (const char* const other : {"factor", "floor", "growth", "percent"}) {
                if (!value.contains(other)) continue;
                where_.field = other;
                fail("the jitter \"" + jitter + "\" grows by itself, and takes only base and cap");
            }
            if (jitter == "smooth")
                return set(rules_.smooth, make_backoff(SmoothJitter{}, cap, base));
            return set(rules_.decorrelated, make_backoff(DecorrelatedJitter{}, cap, base));
        }
        const policies::AnyJitter chosen = jitter_of(value, jitter);
        const TextGrowth growth = growth_of(value, base);
        Duration floor{};
        if (value.contains("floor")) floor = time(field(value, "floor"), Duration{0});
        set(rules_.backoff, make_backoff(chosen, Floor{floor, cap}, growth));
    }
    [[nodiscard]] policies::AnyJitter jitter_of(const PolicyJson& value, const std::string& name) {
        const bool takes_percent = name == "plus" || name == "plus_minus";
        if (value.contains("percent") != takes_percent) {
            where_.field = "percent";
            fail(takes_percent ? "the jitter \"" + name + "\" needs a percentage in [1, 100]"
                               : "only the jitters \"plus\" and \"plus_minus\" take a percentage");
        }
        if (takes_percent) {
            const auto percent = number<std::uint32_t>(field(value, "percent"), 1, 100);
            return name == "plus" ? ProportionalJitter::plus_percent(percent)
                                  : ProportionalJitter::plus_minus_percent(percent);
        }
        if (name == "full") return FullJitter{};
        if (name == "equal") return EqualJitter{};
        if (name == "none") return NoJitter{};
        where_.field = "jitter";
        fail(
            "there is no such jitter; the jitters are none, full, equal, plus, plus_minus, "
            "decorrelated and smooth");
    }
    [[nodiscard]] TextGrowth growth_of(const PolicyJson& value, Duration base) {
        const std::string name = word(value, "growth").value_or("exponential");
        if (name != "exponential" && value.contains("factor")) {
            where_.field = "factor";
            fail("only the growth \"exponential\" takes a factor");
        }
        if (name == "linear") return {Linear{base}};
        if (name == "constant") return {Constant{base}};
        if (name == "fibonacci") return {Fibonacci{base}};
        if (name != "exponential") {
            where_.field = "growth";
            fail(
                "there is no such growth; the growths are exponential, linear, constant and "
                "fibonacci");
        }
        double factor = 2;
        if (value.contains("factor")) {
            const PolicyJson& written = field(value, "factor");
            if (!written.is_number()) fail(shown(written) + " is not a number; write 1.5");
            factor = written.get<double>();
        }
        return {Exponential{base, factor}};
    }
    template <class Made>
    void set(std::optional<Made>& rule, Result<Made> made) {
        if (made) {
            rule.emplace(*made);
            return;
        }
        const std::error_code wrong = made.error();
        where_.field = wrong == BackoffErrc::bad_base     ? "base"
                       : wrong == BackoffErrc::bad_factor ? "factor"
                       : wrong == BackoffErrc::bad_floor  ? "floor"
                       : wrong == BackoffErrc::bad_jitter ? "percent"
                                                          : "cap";
        fail(wrong.message());
    }

    void read_cooldown(const PolicyJson& value) {
        fields(value, {"cause", "least", "most"});
        const Cause cause = cause_of_text(field(value, "cause"));
        const Duration least = time(field(value, "least"), Duration{0});
        const Duration most = time(field(value, "most"), Duration{0});
        if (most < least) fail("the longest wait must not be below the shortest, `least`");
        rules_.cooldown_on.emplace(cause, least, most);
    }
    void read_breaker(const PolicyJson& value) {
        fields(value, {"failures", "open_for"});
        const auto failures = number<std::uint32_t>(field(value, "failures"), 1, 1'000'000);
        rules_.breaker.emplace(ConsecutiveFailures{failures},
                               OpenFor{time(field(value, "open_for"), Duration{1})});
    }
    void read_spread(const PolicyJson& value) {
        fields(value, {"percent"});
        const auto percent = number<std::uint32_t>(field(value, "percent"), 1, 100);
        rules_.spread_hint.emplace(SpreadHint::plus_percent(percent));
    }
    void read_causes(bool are_retried, const PolicyJson& value) {
        if (rules_.stop_on) fail("a policy has stop_on or retry_on, and not both");
        if (!value.is_array() || value.empty()) {
            fail(shown(value) + " is not a list of causes; write [\"permanent\", \"forbidden\"]");
        }
        if (value.size() > causes_max) fail("the list is longer than there are causes");
        std::vector<Cause> causes;
        for (const PolicyJson& name : value) {
            const Cause cause = cause_of_text(name);
            if (std::ranges::find(causes, cause) != causes.end()) {
                fail("the cause " + shown(name) + " is there twice");
            }
            causes.push_back(cause);
        }
        // Each of the set, or each that is not in it: StopOn takes its causes one by one.
        causes.resize(causes_max, causes.front());
        const auto stop_on = [&c = causes](auto make) {
            return make(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]);
        };
        rules_.stop_on = are_retried ? stop_on([](auto... c) { return StopOn::all_but(c...); })
                                     : stop_on([](auto... c) { return StopOn{c...}; });
    }

    // The causes of a failure: all but none and planned.
    static constexpr std::size_t causes_max = 9;
    [[nodiscard]] Cause cause_of_text(const PolicyJson& value) const {
        if (value.is_string()) {
            for (std::size_t i = 2; i < 2 + causes_max; ++i) {
                const auto cause = static_cast<Cause>(i);
                if (value.get_ref<const std::string&>() == to_string(cause)) return cause;
            }
        }
        fail("there is no cause " + shown(value) +
             "; the causes are lost, refused, timed_out, overloaded, protocol, corrupt, "
             "permanent, forbidden and unauthorized");
    }

    void fields(const PolicyJson& value, std::initializer_list<std::string_view> known) {
        if (!value.is_object()) fail("the rule must be an object of fields, not " + shown(value));
        for (const auto& [name, ignored] : value.items()) {
            static_cast<void>(ignored);
            if (std::ranges::find(known, name) != known.end()) continue;
            where_.field = shortened_name(name);
            std::string all;
            for (const std::string_view each : known) (all += all.empty() ? "" : ", ") += each;
            fail("there is no such field; the fields are " + all);
        }
    }
    [[nodiscard]] const PolicyJson& field(const PolicyJson& value, const char* name) {
        where_.field = name;
        const auto found = value.find(name);
        if (found == value.end()) fail("the field is missing");
        return *found;
    }
    [[nodiscard]] std::optional<std::string> word(const PolicyJson& value, const char* name) {
        if (!value.contains(name)) return std::nullopt;
        const PolicyJson& word = field(value, name);
        if (!word.is_string()) fail(shown(word) + " is not a text");
        return word.get<std::string>();
    }
    template <class T>
    [[nodiscard]] T number(const PolicyJson& value, T least, T most) const {
        // The parser stores only negative numbers as signed.
        const bool fits = value.is_number_unsigned() && value.get<std::uint64_t>() >= least &&
                          value.get<std::uint64_t>() <= most;
        if (!fits) {
            fail(shown(value) + " is not a whole number in [" + std::to_string(least) + ", " +
                 std::to_string(most) + "]");
        }
        return static_cast<T>(value.get<std::uint64_t>());
    }

    /// Reads "1.5s": digits, a fraction if any, and one of ns, us, ms, s, min and h.
    [[nodiscard]] Duration time(const PolicyJson& value, Duration least) const {
        if (value.is_number()) {
            const std::string digits = shown(value);
            fail(digits + " has no unit; write \"" + digits + "s\" or \"" + digits + "ms\"");
        }
        if (!value.is_string()) fail(shown(value) + " is not a time; write \"30s\" or \"100ms\"");
        const std::optional<Duration> read = time_of(value.get_ref<const std::string&>());
        if (!read) {
            fail(shown(value) +
                 " is not a time of at most 292 years; write a number and ns, us, ms, s, min or h, "
                 "without a space, such as \"1.5s\"");
        }
        if (*read < least) fail(shown(value) + " is too short; it must be > 0ns");
        return *read;
    }
    [[nodiscard]] static std::optional<Duration> time_of(std::string_view text) {
        const std::size_t digits = text.find_first_not_of("0123456789");
        if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
        std::string_view whole = text.substr(0, digits);
        std::string_view fraction;
        std::string_view unit = text.substr(digits);
        if (unit.front() == '.') {
            unit.remove_prefix(1);
            const std::size_t end = unit.find_first_not_of("0123456789");
            if (end == 0 || end == std::string_view::npos) return std::nullopt;
            fraction = unit.substr(0, end);
            unit.remove_prefix(end);
        }
        const std::uint64_t ticks = ticks_of(unit);
        if (ticks == 0) return std::nullopt;
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        std::uint64_t units = 0;
        for (const char c : whole) {
            const auto digit = static_cast<std::uint64_t>(c - '0');
            if (units > (most - digit) / 10) return std::nullopt;
            units = units * 10 + digit;
        }
        if (units > most / ticks) return std::nullopt;
        std::uint64_t sum = units * ticks;
        // The rest of the unit after each digit. A fraction of a nanosecond is not a time.
        std::uint64_t share = ticks;
        for (const char c : fraction) {
            if (c != '0' && (share == 0 || share % 10 != 0)) return std::nullopt;
            share /= 10;
            sum += static_cast<std::uint64_t>(c - '0') * share;
        }
        if (sum > most) return std::nullopt;
        return Duration{static_cast<Duration::rep>(sum)};
    }
    [[nodiscard]] static std::uint64_t ticks_of(std::string_view unit) {
        if (unit == "ns") return 1;
        if (unit == "us") return 1'000;
        if (unit == "ms") return 1'000'000;
        if (unit == "s") return 1'000'000'000;
        if (unit == "min") return 60'000'000'000;
        if (unit == "h") return 3'600'000'000'000;
        return 0;
    }

    policies::TextError where_;
    TextRules rules_{};
};

/// A longer text is not parsed, so that a wrong file neither takes memory nor stops the program for
/// long. A policy has some hundred bytes.
inline constexpr std::size_t policy_text_bytes_max = 1024 * 1024;
inline constexpr std::size_t policies_max = 1000;

/// Throws the error with its place: the last name in each object that is open.
[[noreturn]] inline void fail_at(const std::vector<std::string>& path, bool named,
                                 const char* problem) {
    policies::TextError error{.problem = problem};
    std::string policies::TextError::*const names[] = {
        &policies::TextError::policy, &policies::TextError::rule, &policies::TextError::field};
    std::size_t at = named ? 0 : 1;
    for (const std::string& name : path) {
        if (at < 3) error.*names[at++] = shortened_name(name);
    }
    throw error;
}

/// Parses a text. It throws a TextError for a name that an object has twice, of which nlohmann/json
/// would keep the last. If `named`, the outermost object has names of policies.
[[nodiscard]] inline PolicyJson parse_policies(std::string_view text, bool named) {
    using policies::TextError;
    if (text.size() > policy_text_bytes_max) {
        throw TextError{.problem = "the text has " + std::to_string(text.size()) +
                                   " bytes, the limit is " + std::to_string(policy_text_bytes_max)};
    }
    constexpr std::size_t depth_max = 5;
    std::vector<std::set<std::string>> open;  // the names so far of each object that is open
    std::vector<std::string> path;            // the last name in each of them
    const auto watch = [&](int depth, PolicyJson::parse_event_t event, PolicyJson& value) {
        if (event == PolicyJson::parse_event_t::object_start ||
            event == PolicyJson::parse_event_t::array_start) {
            if (static_cast<std::size_t>(depth) >= depth_max)
                throw TextError{.problem = "the text is nested deeper than a policy"};
        }
        if (event == PolicyJson::parse_event_t::object_start) {
            open.emplace_back();
            path.emplace_back();
        } else if (event == PolicyJson::parse_event_t::object_end) {
            open.pop_back();
            path.pop_back();
        } else if (event == PolicyJson::parse_event_t::key) {
            path.back() = value.get<std::string>();
            if (open.back().insert(path.back()).second) return true;
            fail_at(path, named, "it is there twice");
        }
        return true;
    };
    // nlohmann/json takes a NUL byte for the end of the text.
    std::size_t wrong_byte = text.find('\0') + 1;
    try {
        PolicyJson read = PolicyJson::parse(text, watch);
        if (wrong_byte == 0) return read;
    } catch (const PolicyJson::parse_error& broken) {
        wrong_byte = broken.byte;
    } catch (const PolicyJson::out_of_range&) {
        fail_at(path, named, "a number is too large");
    }
    throw TextError{.problem = "the text is not JSON at byte " + std::to_string(wrong_byte)};
}

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// Reads one policy:
///
///     {"backoff": {"jitter": "full", "base": "100ms", "cap": "10s"},
///      "stop_on": ["permanent", "forbidden"], "max_elapsed": "30s", "max_attempts": 4}
///
/// docs/how-to/policies-at-run-time.md lists the rules and their fields. Each rule may be there
/// once, in any order. A time is a text with a unit: ns, us, ms, s, min or h. Objects that policies
/// share, such as a breaker or a budget, are not in a text. Add them in the program:
/// `Policy{*read, Shared{breaker, FailFast{}}}`.
///
/// Errors:     a TextError that names the rule and the field: an unknown rule or field, one that is
///             there twice or missing, a time without a unit, a number out of range, a text that
///             is not JSON or has more than 1 MiB, a policy that neither waits nor stops. It has
///             one error for each rule that is wrong, see TextError::others.
/// Complexity: O(bytes * log(names)).   Throws: std::bad_alloc.
[[nodiscard]] inline Result<AnyPolicy, TextError> read_policy(std::string_view text) {
    try {
        return detail::PolicyTextReader{{}}.read(detail::parse_policies(text, false));
    } catch (TextError& error) {
        return std::move(error);
    }
}

/// Reads the policies of a program, by name: `{"payments": {...}, "search": {...}}`.
///
/// All of them are right, or the result is an error. So an operator's mistake changes nothing.
///
/// Errors:     as of read_policy; the TextError also names the policy. More policies than the limit
///             of 1,000 are an error.
/// Complexity: O(bytes * log(names)).   Throws: std::bad_alloc.
[[nodiscard]] inline Result<std::map<std::string, AnyPolicy, std::less<>>, TextError> read_policies(
    std::string_view text) {
    try {
        const nlohmann::json all = detail::parse_policies(text, true);
        if (!all.is_object()) {
            return TextError{.problem = "the text must be an object of policies, not " +
                                        detail::shortened(all)};
        }
        if (all.size() > detail::policies_max) {
            return TextError{.problem = "the text has " + std::to_string(all.size()) +
                                        " policies, the limit is " +
                                        std::to_string(detail::policies_max)};
        }
        std::map<std::string, AnyPolicy, std::less<>> read;
        std::optional<TextError> wrong;
        for (const auto& [name, rules] : all.items()) {
            try {
                read.emplace(name,
                             detail::PolicyTextReader{detail::shortened_name(name)}.read(rules));
            } catch (TextError& found) {
                detail::add_error(wrong, std::move(found));
            }
        }
        if (wrong) return *std::move(wrong);
        return read;
    } catch (TextError& error) {
        return std::move(error);
    }
}

}}}  // namespace belay::policies
