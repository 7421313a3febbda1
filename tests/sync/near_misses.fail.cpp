// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <functional>

#include <belay/call/policies.hpp>
#include <belay/sync/bridge.hpp>
#include <belay/sync/pull.hpp>
#include <belay/sync/push.hpp>
#include <belay/sync/sync_processor.hpp>

#include "support/sync/bridge_archetypes.hpp"
#include "support/sync/sync_archetypes.hpp"

// expect-error: SyncProcessor: a store that is a variable must be passed as std::ref
namespace processor_copies_a_store {
struct CopyableStore : belay_test::MinimalStore {
    CopyableStore() = default;
    CopyableStore(const CopyableStore&) : MinimalStore{} {}
};
void use(CopyableStore& store) {
#if defined(BELAY_CONTROL)
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}};
#else
    belay::SyncProcessor processor{store, belay::LastWriteWins{}};
#endif
}
}  // namespace processor_copies_a_store

// expect-error: SyncProcessor: the observer's on_conflict must be 'on_conflict
namespace sync_observer_hook {
struct App {
    void on_progress(const belay::SyncProgress&) {}
#if defined(BELAY_CONTROL)
    void on_conflict(const auto&) {}
#else
    void on_conflict() {}
#endif
};
void use(belay_test::MinimalStore& store) {
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}, belay::SyncOptions{},
                                   App{}};
}
}  // namespace sync_observer_hook

// expect-error: OperationLike: O's saw must be 'std::optional<belay::Stamp> saw'
namespace operation_with_another_saw {
struct Mine : belay_test::MinimalOperation {
#if defined(BELAY_CONTROL)
    std::optional<belay::Stamp> saw{};
#else
    belay::Stamp saw{};
#endif
};
static_assert(belay::explain::operation_like<Mine>());
}  // namespace operation_with_another_saw

// expect-error: StrategyLike: the strategy must return belay::Resolution
namespace strategy_without_resolution {
struct Mine {
#if defined(BELAY_CONTROL)
    belay::Resolution<belay_test::MinimalValue> operator()(const auto&) {
        return belay::Resolution<belay_test::MinimalValue>::keep_local();
    }
#else
    bool operator()(const auto&) { return true; }
#endif
};
void use(belay_test::MinimalStore& store) {
    belay::SyncProcessor processor{std::ref(store), Mine{}};
}
}  // namespace strategy_without_resolution

// expect-error: Bridge: a side that is a variable must be passed as std::ref
namespace bridge_copies_a_side {
struct CopyableLocal : belay_test::MinimalLocal {
    CopyableLocal() = default;
    CopyableLocal(const CopyableLocal&) : MinimalLocal{} {}
};
void use(CopyableLocal& local, belay_test::MinimalRemote& remote) {
#if defined(BELAY_CONTROL)
    belay::Bridge bridge{std::ref(local), std::ref(remote), belay::policies::bridge()};
#else
    belay::Bridge bridge{local, std::ref(remote), belay::policies::bridge()};
#endif
}
}  // namespace bridge_copies_a_side

// expect-error: Bridge: both sides must have one content_type
namespace bridge_between_two_contents {
struct OtherContent {
    int number;
};
inline std::uint64_t content_hash(const OtherContent&) { return 0; }
struct OtherRemote {
#if defined(BELAY_CONTROL)
    using content_type = belay_test::MinimalContent;
#else
    using content_type = OtherContent;
#endif
    void fetch(std::string_view,
               const belay::Completion<
                   belay::Result<std::optional<belay::Scene<content_type>>, belay::Failure>>&) {}
    void push(std::string_view, const belay::Scene<content_type>&,
              const belay::Completion<belay::Failure>&) {}
};
void use(belay_test::MinimalLocal& local, OtherRemote& remote) {
    belay::Bridge bridge{std::ref(local), std::ref(remote), belay::policies::bridge()};
}
}  // namespace bridge_between_two_contents

// expect-error: Bridge: the observer's on_conflict must be 'on_conflict
namespace bridge_observer_hook {
struct App {
    void on_state(const belay::Connectivity&) {}
#if defined(BELAY_CONTROL)
    void on_conflict(const auto&) {}
#else
    void on_conflict(int, int, int) {}
#endif
};
void use(belay_test::MinimalLocal& local, belay_test::MinimalRemote& remote) {
    belay::Bridge bridge{std::ref(local), std::ref(remote), belay::policies::bridge(),
                         belay::BridgeOptions{}, App{}};
}
}  // namespace bridge_observer_hook

// expect-error: Bridge: the observer's on_attempt, on_retry
namespace bridge_observer_of_retry {
struct App {
    void on_state(const belay::Connectivity&) {}
#if defined(BELAY_CONTROL)
    void on_retry(const belay::RetryPlanned&) {}
#else
private:
    void on_retry(const belay::RetryPlanned&) {}
#endif
};
void use(belay_test::MinimalLocal& local, belay_test::MinimalRemote& remote) {
    belay::Bridge bridge{std::ref(local), std::ref(remote), belay::policies::bridge(),
                         belay::BridgeOptions{}, App{}};
}
}  // namespace bridge_observer_of_retry

// expect-error: Bridge: the observer has no hook
namespace bridge_observer_without_hooks {
#if defined(BELAY_CONTROL)
struct App : belay::NoObserver {};
#else
struct App {
    void on_conectivity(const belay::Connectivity&) {}
};
#endif
void use(belay_test::MinimalLocal& local, belay_test::MinimalRemote& remote) {
    belay::Bridge bridge{std::ref(local), std::ref(remote), belay::policies::bridge(),
                         belay::BridgeOptions{}, App{}};
}
}  // namespace bridge_observer_without_hooks

// expect-error: RemoteLike: R's close must be
namespace remote_closed_without_answer {
struct Remote : belay_test::MinimalRemote {
#if defined(BELAY_CONTROL)
    void close(const belay::Completion<belay::Failure>&) {}
#else
    void close() {}
#endif
};
void use(belay_test::MinimalLocal& local, Remote& remote) {
    belay::Bridge bridge{std::ref(local), std::ref(remote), belay::policies::bridge()};
}
}  // namespace remote_closed_without_answer

// expect-error: SyncProcessor: the third argument must be belay::SyncOptions
namespace sync_observer_in_the_place_of_options {
struct App {
    void on_progress(const belay::SyncProgress&) {}
};
void use(belay_test::MinimalStore& store) {
#if defined(BELAY_CONTROL)
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}, {}, App{}};
#else
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}, App{}};
#endif
}
}  // namespace sync_observer_in_the_place_of_options
