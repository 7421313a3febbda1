// SPDX-License-Identifier: MIT
// Goal: RemoteLike accepts exactly the documented types. Method: an archetype, and types that
// lack one requirement each.
#include <belay/sync/scene.hpp>

#include "support/sync/bridge_archetypes.hpp"

using belay_test::MinimalContent;
using belay_test::MinimalRemote;

struct RemoteThatAnswersAtOnce : MinimalRemote {
    belay::Result<std::optional<belay::Scene<MinimalContent>>, belay::Failure> fetch(
        std::string_view);
};
struct RemoteThatTakesNoAnswer : MinimalRemote {
    void push(std::string_view, const belay::Scene<MinimalContent>&);
};
struct RemoteWithReceipt : MinimalRemote {
    int push(std::string_view, const belay::Scene<MinimalContent>&,
             belay::Completion<belay::Failure>);
};
struct ClosingRemote : MinimalRemote {
    void close(const belay::Completion<belay::Failure>&) {}
};
// Members that cannot be used would be ignored.
struct RemoteClosedWithoutAnswer : MinimalRemote {
    void close() {}
};
struct RemoteClosedPrivately : MinimalRemote {
private:
    void close(const belay::Completion<belay::Failure>&) {}
};
struct RemoteMachine : MinimalRemote {
    void attach(belay::Waker) {}
    belay::Instant deadline() const noexcept { return belay::never; }
    void advance(belay::Instant) {}
};
struct HalfMachine : MinimalRemote {
    void attach(belay::Waker) {}
    void advance(belay::Instant) {}
};
struct RemovingRemote : MinimalRemote {
    void remove_scene(std::string_view, const belay::part::SceneRemoval&,
                      const belay::Completion<belay::Failure>&) {}
};
// This is the form without `saw`.
struct RemovesByStamp : MinimalRemote {
    void remove_scene(std::string_view, const belay::Stamp&,
                      const belay::Completion<belay::Failure>&) {}
};
struct RemoteThatRemovesAtOnce : MinimalRemote {
    void remove_scene(std::string_view, const belay::Stamp&) {}
};

static_assert(belay::RemoteLike<RemovingRemote>);
static_assert(belay::detail::HasRemoveRemote<RemovingRemote>);
static_assert(!belay::detail::HasRemoveRemote<MinimalRemote>);
static_assert(!belay::RemoteLike<RemoteThatRemovesAtOnce>);
static_assert(!belay::RemoteLike<RemovesByStamp>);
static_assert(belay::RemoteLike<MinimalRemote>);
static_assert(belay::explain::remote_like<MinimalRemote>());
static_assert(!belay::detail::HasCloseRemote<MinimalRemote>);
static_assert(!belay::RemoteLike<int>);
static_assert(!belay::RemoteLike<RemoteThatAnswersAtOnce>);
static_assert(!belay::RemoteLike<RemoteThatTakesNoAnswer>);
static_assert(!belay::RemoteLike<RemoteWithReceipt>);
static_assert(belay::RemoteLike<ClosingRemote>);
static_assert(belay::detail::HasCloseRemote<ClosingRemote>);
static_assert(!belay::RemoteLike<RemoteClosedWithoutAnswer>);
static_assert(!belay::RemoteLike<RemoteClosedPrivately>);
static_assert(belay::RemoteLike<RemoteMachine>);
static_assert(!belay::RemoteLike<HalfMachine>);
