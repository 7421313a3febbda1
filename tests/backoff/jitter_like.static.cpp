// SPDX-License-Identifier: MIT
// Goal: JitterLike accepts its archetype, and rejects types that lack one requirement each.
#include <belay/backoff/jitters.hpp>

#include "support/archetypes.hpp"

using namespace belay;

namespace {

static_assert(JitterLike<belay_test::MinimalJitter>);
static_assert(explain::jitter_like<belay_test::MinimalJitter>());

struct Base {
    part::WaitRange range(const part::NominalWait&) const noexcept;
};
struct JitterWithAll : Base {
    static constexpr bool grows = true;
    Duration delay(part::WaitRange, std::uint64_t, Random&) noexcept;
    void reset() noexcept;
    BackoffErrc check() const noexcept;
};
static_assert(JitterLike<JitterWithAll> && explain::jitter_like<JitterWithAll>());
static_assert(detail::GrowsByItself<JitterWithAll> && !detail::GrowsByItself<Base>);

struct JitterWithoutRange {
    Duration delay(part::WaitRange, std::uint64_t, Random&) noexcept;
};
struct JitterThatThrows {
    part::WaitRange range(const part::NominalWait&) const;
};
struct JitterThatChanges {
    part::WaitRange range(const part::NominalWait&) noexcept;
};
struct JitterOfOneWait {
    Duration range(const part::NominalWait&) const noexcept;
};
struct JitterThatMovesOnly : Base {
    JitterThatMovesOnly(JitterThatMovesOnly&&) = default;
};
static_assert(!JitterLike<int> && !JitterLike<JitterWithoutRange>);
static_assert(!JitterLike<JitterThatThrows> && !JitterLike<JitterThatChanges>);
static_assert(!JitterLike<JitterOfOneWait> && !JitterLike<JitterThatMovesOnly>);

// An optional member of another form would be ignored without a message.
struct JitterWithThrowingDelay : Base {
    Duration delay(part::WaitRange, std::uint64_t, Random&);
};
struct JitterWithDelayOfOldForm : Base {
    Duration delay(Duration, Random&) noexcept;
};
struct JitterInSeconds : Base {
    std::chrono::seconds delay(part::WaitRange, std::uint64_t, Random&) noexcept;
};
struct JitterWithThrowingReset : Base {
    void reset();
};
struct JitterThatResetsToSomething : Base {
    void reset(int) noexcept;
};
static_assert(!JitterLike<JitterThatResetsToSomething>);
struct JitterThatMayGrow : Base {
    bool grows = true;
};
static_assert(!JitterLike<JitterThatMayGrow>);
struct JitterWithThrowingCheck : Base {
    BackoffErrc check() const;
};
struct JitterThatChecksInBool : Base {
    bool check() const noexcept;
};
static_assert(!JitterLike<JitterWithThrowingDelay> && !JitterLike<JitterWithDelayOfOldForm>);
static_assert(!JitterLike<JitterInSeconds> && !JitterLike<JitterWithThrowingReset>);
static_assert(!JitterLike<JitterWithThrowingCheck> && !JitterLike<JitterThatChecksInBool>);

// A member counts in any form: overloaded, private, or a template.
struct JitterWithTwoDelays : Base {
    Duration delay(Duration, Random&) noexcept;
    Duration delay(Duration) noexcept;
};
class JitterWithPrivateReset : public Base {
    void reset() noexcept;
};
struct JitterWithTemplateCheck : Base {
    template <class T>
    BackoffErrc check() const noexcept;
};
class JitterThatGrowsInSecret : public Base {
    static constexpr bool grows = true;
};
struct JitterThatGrowsByNumber : Base {
    static constexpr int grows = 1;
};
struct JitterThatDoesNotGrow : Base {
    static constexpr bool grows = false;
};
static_assert(!JitterLike<JitterWithTwoDelays> && !JitterLike<JitterWithPrivateReset>);
static_assert(!JitterLike<JitterWithTemplateCheck> && !JitterLike<JitterThatGrowsInSecret>);
static_assert(!JitterLike<JitterThatGrowsByNumber> && JitterLike<JitterThatDoesNotGrow>);

}  // namespace
