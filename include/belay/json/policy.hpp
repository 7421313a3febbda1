// SPDX-License-Identifier: MIT
/// \file belay/json/policy.hpp
/// policies::read_policy, read_policies: policies that are written in JSON; needs nlohmann/json.
#pragma once

#include <cstddef>      // std::size_t
#include <functional>   // std::less
#include <map>          // std::map
#include <optional>     // std::optional
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/result.hpp>
#include <belay/json/detail/policy_text.hpp>
#include <belay/policy/any_policy.hpp>
#include <nlohmann/json.hpp>

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// The limits of a text of policies.
struct TextLimits {
    /// The most bytes of a text. A longer one is not parsed.
    std::size_t bytes_max = 1024 * 1024;
    /// The most policies in a text.
    std::size_t policies_max = 1000;
};

}}}  // namespace belay::policies

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Throws the error with its place: the last name in each object that is open.
[[noreturn]] inline void fail_at(policies::TextError& error, const std::vector<std::string>& path,
                                 bool named, const char* problem) {
    std::string policies::TextError::*const names[] = {
        &policies::TextError::policy, &policies::TextError::rule, &policies::TextError::field};
    std::size_t at = named ? 0 : 1;
    for (const std::string& name : path) {
        if (at < 3) error.*names[at++] = shortened_name(name);
    }
    error.problem = problem;
    throw error;
}

/// Parses a text. It throws a TextError for a name that an object has twice, of which nlohmann/json
/// would keep the last. If `named`, the outermost object has names of policies.
[[nodiscard]] inline PolicyJson parse_policies(std::string_view text, bool named,
                                               const policies::TextLimits& limits) {
    policies::TextError error;
    if (text.size() > limits.bytes_max) {
        error.problem = "the text has " + std::to_string(text.size()) + " bytes, the limit is " +
                        std::to_string(limits.bytes_max);
        throw error;
    }
    constexpr std::size_t depth_max = 5;
    std::vector<std::set<std::string>> open;  // the names so far of each object that is open
    std::vector<std::string> path;            // the last name in each of them
    const auto watch = [&](int depth, PolicyJson::parse_event_t event, PolicyJson& value) {
        if (event == PolicyJson::parse_event_t::object_start ||
            event == PolicyJson::parse_event_t::array_start) {
            if (static_cast<std::size_t>(depth) >= depth_max) {
                error.problem = "the text is nested deeper than a policy";
                throw error;
            }
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
            fail_at(error, path, named, "it is there twice");
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
        fail_at(error, path, named, "a number is too large");
    }
    error.problem = "the text is not JSON at byte " + std::to_string(wrong_byte);
    throw error;
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
///             is not JSON or is beyond the limits, a policy that neither waits nor stops. It has
///             one error for each rule that is wrong, see TextError::others.
/// Complexity: O(bytes * log(names)).   Throws: std::bad_alloc.
[[nodiscard]] inline Result<AnyPolicy, TextError> read_policy(std::string_view text,
                                                              TextLimits limits = {}) {
    try {
        return detail::PolicyTextReader{{}}.read(detail::parse_policies(text, false, limits));
    } catch (TextError& error) {
        return std::move(error);
    }
}

/// Reads the policies of a program, by name: `{"payments": {...}, "search": {...}}`.
///
/// All of them are right, or the result is an error. So an operator's mistake changes nothing.
///
/// Errors:     as of read_policy; the TextError also names the policy. More policies than the limit
///             are an error.
/// Complexity: O(bytes * log(names)).   Throws: std::bad_alloc.
[[nodiscard]] inline Result<std::map<std::string, AnyPolicy, std::less<>>, TextError> read_policies(
    std::string_view text, TextLimits limits = {}) {
    try {
        const nlohmann::json all = detail::parse_policies(text, true, limits);
        TextError error;
        if (!all.is_object()) {
            error.problem = "the text must be an object of policies, not " + detail::shortened(all);
            return error;
        }
        if (all.size() > limits.policies_max) {
            error.problem = "the text has " + std::to_string(all.size()) +
                            " policies, the limit is " + std::to_string(limits.policies_max);
            return error;
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
