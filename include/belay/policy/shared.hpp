// SPDX-License-Identifier: MIT
/// \file belay/policy/shared.hpp
/// Shared: a rule that refers to an object which many policies use.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::is_nothrow_move_assignable_v
#include <utility>      // std::move

#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {
template <class S>
concept HasPermit = requires { typename S::Permit; } &&
                    std::is_nothrow_default_constructible_v<typename S::Permit> &&
                    std::is_nothrow_move_constructible_v<typename S::Permit> &&
                    std::is_nothrow_move_assignable_v<typename S::Permit>;
template <class S>
concept GivesPermits = requires(S& object, const S& asked, Instant now, Turn& turn) {
    { asked.admit(now) } noexcept -> std::same_as<Advice>;
    { object.acquire(turn) } noexcept -> std::same_as<typename S::Permit>;
};
template <class P>
concept TakesVerdicts = requires(P& permit, const P& asked, Turn& turn) {
    { asked.advice() } noexcept -> std::same_as<Advice>;
    { permit.failure(turn) } noexcept -> std::same_as<Advice>;
    { permit.success(turn) } noexcept;
    { permit.neutral() } noexcept;
};
}  // namespace detail

/// What a Shared rule can refer to; CircuitBreaker is one.
///
/// - `admit(Instant) const -> Advice`, `acquire(Turn&) -> Permit`;
/// - `Permit`: default-constructible (empty), movable; `advice() const -> Advice` (not `go`:
///   refused), `failure(Turn&) -> Advice`, `success(Turn&)`, `neutral()`; its destructor is
///   neutral.
///
/// All noexcept. Semantics the compiler cannot check: any thread may call it at any time.
template <class S>
concept ShareableLike =
    detail::HasPermit<S> && detail::GivesPermits<S> && detail::TakesVerdicts<typename S::Permit>;

/// Names every requirement of ShareableLike that S lacks.
template <class S>
consteval bool explain_shareable_like() {
    static_assert(detail::HasPermit<S>,
                  "ShareableLike: S needs a nothrow default-constructible, movable S::Permit");
    static_assert(detail::GivesPermits<S>,
                  "ShareableLike: S needs 'Advice admit(Instant) const noexcept' and "
                  "'Permit acquire(Turn&) noexcept'");
    if constexpr (detail::HasPermit<S>) {
        static_assert(detail::TakesVerdicts<typename S::Permit>,
                      "ShareableLike: S::Permit needs advice, failure, success and neutral, "
                      "see docs/policy.md");
    }
    return ShareableLike<S>;
}

/// Refers to a shared object, which must outlive it, and holds at most one of its permits.
///
/// Uses the turn's time and bits, never the object's own clock. If the permit is gone by the time
/// of `begin` (another caller took it), the attempt is refused; so a probe cannot be forced. A copy
/// refers to the same object and holds no permit: each run of a policy takes its own.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe, also when they refer to one object.
template <class Object>
class Shared {
    static_assert(explain_shareable_like<Object>());

public:
    static constexpr std::string_view name = [] {
        if constexpr (requires { std::string_view{Object::name}; }) {
            return std::string_view{Object::name};
        } else {
            return std::string_view{"Shared"};
        }
    }();

    constexpr explicit Shared(Object& object) noexcept : object_{&object} {}
    constexpr Shared(const Shared& other) noexcept : object_{other.object_} {}
    constexpr Shared(Shared&& other) noexcept = default;
    constexpr Shared& operator=(const Shared& other) noexcept {
        if (this != &other) {
            permit_ = typename Object::Permit{};
            object_ = other.object_;
        }
        return *this;
    }
    constexpr Shared& operator=(Shared&& other) noexcept = default;
    constexpr ~Shared() = default;

    [[nodiscard]] Advice admit(Instant now) const noexcept {
        return static_cast<const Object*>(object_)->admit(now);
    }
    [[nodiscard]] Advice begin(Turn& turn) noexcept {
        permit_ = object_->acquire(turn);
        return permit_.advice();
    }
    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        if (failure.cause != Cause::planned) return permit_.failure(turn);
        permit_.neutral();
        return admit(turn.now);
    }
    void succeeded(Turn& turn) noexcept { permit_.success(turn); }
    void abandoned(Turn&) noexcept { permit_.neutral(); }

private:
    Object* object_;
    typename Object::Permit permit_{};
};

template <class Object>
Shared(Object&) -> Shared<Object>;

}  // namespace belay::inline BELAY_ABI
