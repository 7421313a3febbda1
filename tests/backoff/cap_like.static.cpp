// SPDX-License-Identifier: MIT
// Goal: CapLike accepts its archetype, and rejects types that lack one requirement each.
#include <belay/backoff/caps.hpp>

#include "support/archetypes.hpp"

using namespace belay;

namespace {

static_assert(CapLike<belay_test::MinimalCap> && explain::cap_like<belay_test::MinimalCap>());

struct CapThatThrows {
    Duration limit(Duration) const;
};
struct CapInSeconds {
    std::chrono::seconds limit(Duration) const noexcept;
};
struct CapThatChanges {
    Duration limit(Duration) noexcept;
};
struct CapThatMovesOnly {
    CapThatMovesOnly(CapThatMovesOnly&&) = default;
    Duration limit(Duration) const noexcept;
};
static_assert(!CapLike<int> && !CapLike<CapThatThrows> && !CapLike<CapInSeconds>);
static_assert(!CapLike<CapThatChanges> && !CapLike<CapThatMovesOnly>);

struct CapWithFloor {
    static constexpr bool before_jitter = true;
    Duration limit(Duration) const noexcept;
    Duration least() const noexcept;
};
static_assert(CapLike<CapWithFloor> && explain::cap_like<CapWithFloor>());
static_assert(detail::CapsBeforeJitter<CapWithFloor> && !detail::CapsBeforeJitter<CapInSeconds>);

// A floor of another form would be ignored without a message.
struct CapWithThrowingFloor {
    Duration limit(Duration) const noexcept;
    Duration least() const;
};
struct CapWithFloorInSeconds {
    Duration limit(Duration) const noexcept;
    std::chrono::seconds least() const noexcept;
};
static_assert(!CapLike<CapWithThrowingFloor> && !CapLike<CapWithFloorInSeconds>);

// A member counts in any form: overloaded, private, or a template.
struct CapBase {
    Duration limit(Duration) const noexcept;
};
struct CapWithTwoFloors : CapBase {
    Duration least(int) const noexcept;
    Duration least(Duration) const noexcept;
};
class CapWithPrivateFloor : public CapBase {
    Duration least() const noexcept;
};
struct CapWithTemplateFloor : CapBase {
    template <class T>
    Duration least() const noexcept;
};
class CapInSecretBeforeJitter : public CapBase {
    static constexpr bool before_jitter = true;
};
struct CapBeforeJitterByNumber : CapBase {
    static constexpr int before_jitter = 1;
};
static_assert(CapLike<CapBase>);
static_assert(!CapLike<CapWithTwoFloors> && !CapLike<CapWithPrivateFloor>);
static_assert(!CapLike<CapWithTemplateFloor> && !CapLike<CapInSecretBeforeJitter>);
static_assert(!CapLike<CapBeforeJitterByNumber>);

}  // namespace
