// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/properties.hpp
/// Properties: the properties of one world, the marks that it reached, and the first violation.
#pragma once

#include <concepts>     // std::same_as
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <type_traits>  // std::invoke_result_t, std::is_invocable_v
#include <utility>      // std::forward, std::move
#include <vector>       // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// A property that did not hold in a world.
struct Violation {
    std::string property;  ///< its kind and name: always "no duplicates"
    std::string details;   ///< the reason
    Instant at{};
};

namespace detail {

/// A result that states whether a property holds: a bool, or a text that is empty if it holds.
template <class R>
concept FindingLike = std::same_as<R, bool> || std::same_as<R, std::string>;

/// Explains with a sentence that a property is a function.
template <class F>
consteval void require_function() {
    static_assert(std::is_invocable_v<F&>,
                  "World::always, never, eventually: pass a function, which is called after each "
                  "event, such as [&] { return done; }");
}
template <class F>
consteval void require_bool() {
    require_function<F>();
    if constexpr (std::is_invocable_v<F&>) {
        static_assert(std::same_as<std::invoke_result_t<F&>, bool>,
                      "World::never: the function must return bool");
    }
}
template <class F>
consteval void require_finding() {
    require_function<F>();
    if constexpr (std::is_invocable_v<F&>) {
        static_assert(FindingLike<std::invoke_result_t<F&>>,
                      "World::always: the function must return bool, or a std::string that is "
                      "empty if the property holds");
    }
}

inline bool holds(bool finding, std::string&) noexcept { return finding; }
inline bool holds(std::string finding, std::string& details) {
    details = std::move(finding);
    return details.empty();
}

[[nodiscard]] inline std::string quoted(std::string_view kind, std::string_view name) {
    return std::string{kind} + " \"" + std::string{name} + "\"";
}

class Properties {
public:
    template <class F>
    void always(std::string property, bool expected, F&& f) {
        checks_.push_back(
            {std::move(property), [g = std::forward<F>(f), expected](std::string& details) mutable {
                 return detail::holds(g(), details) == expected;
             }});
    }
    /// Checks every property, and records the first violation.   Returns: whether all hold.
    bool check(Instant now) {
        for (Check& c : checks_) {
            std::string details;
            if (!c.holds(details)) {
                violate({c.property, std::move(details), now});
                return false;
            }
        }
        return true;
    }
    void violate(Violation v) {
        if (!violation_) violation_ = std::move(v);
    }
    void mark(std::string_view name, bool reached) {
        const auto at = marks_.find(name);
        if (at == marks_.end()) {
            marks_.emplace(name, reached);
        } else {
            at->second = at->second || reached;
        }
    }
    [[nodiscard]] bool any() const noexcept { return !checks_.empty(); }
    [[nodiscard]] const std::optional<Violation>& violation() const noexcept { return violation_; }
    [[nodiscard]] const std::map<std::string, bool, std::less<>>& marks() const noexcept {
        return marks_;
    }
    /// Returns how often a stopped world was asked to run, this time included.
    std::uint64_t run_when_stopped() noexcept { return ++run_when_stopped_; }

private:
    struct Check {
        std::string property;
        belay::detail::Function<bool(std::string&)> holds;
    };

    std::vector<Check> checks_;
    std::map<std::string, bool, std::less<>> marks_;
    std::optional<Violation> violation_;
    std::uint64_t run_when_stopped_ = 0;
};

}  // namespace detail

}}}  // namespace belay::sim
