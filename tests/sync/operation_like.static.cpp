// SPDX-License-Identifier: MIT
// Goal: OperationLike accepts exactly the documented types. Method: an archetype, and types that
// lack one requirement each.
#include <belay/sync/operation_like.hpp>

#include <memory>
#include <optional>
#include <string>

#include "support/sync/sync_archetypes.hpp"

using belay_test::MinimalOperation;

struct OperationWithoutId : MinimalOperation {
    int id = 0;
};
struct WithoutStamp : MinimalOperation {
    int stamp = 0;
};
struct ThrowingKind : MinimalOperation {
    belay::OperationKind kind() const { return belay::OperationKind::add; }
};
struct NumberedElement : MinimalOperation {
    int element() const noexcept { return 0; }
};
// The views that a processor holds would refer to a temporary.
struct ElementByCopy : MinimalOperation {
    std::string element() const noexcept { return {}; }
};
struct ElementByReference : MinimalOperation {
    const std::string& element() const noexcept { return name; }
    std::string name{};
};
// A strategy would never see this base.
struct BaseByCopy : MinimalOperation {
    std::optional<int> base() const { return {}; }
};
struct BaseThatChanges : MinimalOperation {
    const value_type* base() { return nullptr; }
};
struct NoBase : MinimalOperation {
    const value_type* base() const { return nullptr; }
};
// This member would be ignored.
struct SawByCall : MinimalOperation {
    std::optional<belay::Stamp> saw() const { return {}; }
};
struct SawWithoutAbsence : MinimalOperation {
    belay::Stamp saw{};
};
struct HasSaw : MinimalOperation {
    std::optional<belay::Stamp> saw{};
};
struct FormerlyByCall : MinimalOperation {
    belay::Id formerly() const { return {}; }
};
struct HasFormerly : MinimalOperation {
    belay::Id formerly{};
};
struct ValueByCopy : MinimalOperation {
    value_type value() const { return value_type{0}; }
};
struct UnhashableValue : MinimalOperation {
    using value_type = std::unique_ptr<int>;
    const value_type& value() const;
};
struct NotCopyable : MinimalOperation {
    NotCopyable(NotCopyable&&) = default;
};

static_assert(belay::OperationLike<MinimalOperation>);
static_assert(!belay::OperationLike<OperationWithoutId>);
static_assert(!belay::OperationLike<WithoutStamp>);
static_assert(!belay::OperationLike<ThrowingKind>);
static_assert(!belay::OperationLike<NumberedElement>);
static_assert(!belay::OperationLike<ElementByCopy>);
static_assert(belay::OperationLike<ElementByReference>);
static_assert(!belay::OperationLike<BaseByCopy>);
static_assert(!belay::OperationLike<BaseThatChanges>);
static_assert(belay::OperationLike<NoBase>);
static_assert(!belay::OperationLike<SawByCall>);
static_assert(!belay::OperationLike<SawWithoutAbsence>);
static_assert(belay::OperationLike<HasSaw>);
static_assert(!belay::OperationLike<FormerlyByCall>);
static_assert(belay::OperationLike<HasFormerly>);
static_assert(!belay::OperationLike<ValueByCopy>);
static_assert(!belay::OperationLike<UnhashableValue>);
static_assert(!belay::OperationLike<NotCopyable>);
static_assert(!belay::OperationLike<int>);
