// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <functional>

#include <belay/call/policies.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/sync/bridge.hpp>
#include <belay/sync/memory_store.hpp>
#include <belay/sync/replica.hpp>
#include <belay/sync/replica_link.hpp>
#include <belay/sync/replica_server.hpp>
#include <belay/sync/sync_processor.hpp>
#include <belay/sync/sync_task.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/sync/bridge_archetypes.hpp"
#include "support/sync/bridge_rig.hpp"
#include "support/sync/replica_rig.hpp"
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
    void on_progress(const belay::part::SyncProgress&) {}
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

// expect-error: OperationLike: O's formerly must be 'belay::Id formerly'
namespace operation_with_another_formerly {
struct Mine : belay_test::MinimalOperation {
#if defined(BELAY_CONTROL)
    belay::Id formerly{};
#else
    std::optional<belay::Id> formerly{};
#endif
};
static_assert(belay::explain::operation_like<Mine>());
}  // namespace operation_with_another_formerly

// expect-error: LocalLike: L needs both 'belay::Result<std::optional<belay::part::SceneBase>>
namespace local_side_without_stored_base {
struct Forgetful : belay_test::MinimalLocal {
#if defined(BELAY_CONTROL)
    belay::Result<std::optional<belay::part::SceneBase>> stored_base(std::string_view);
#endif
    std::error_code store_base(std::string_view, const belay::part::SceneBase&);
};
static_assert(belay::explain::local_like<Forgetful>());
}  // namespace local_side_without_stored_base

// expect-error: Bridge: the remote deletes scenes, so the local side needs
namespace remote_that_deletes_for_a_local_side_that_does_not {
struct Deleting : belay_test::MinimalRemote {
    void remove_scene(std::string_view, const belay::part::SceneRemoval&,
                      const belay::Completion<belay::Failure>&) {}
};
struct Here : belay_test::MinimalLocal {
#if defined(BELAY_CONTROL)
    std::error_code remove_scene(std::string_view, belay::Origin) { return {}; }
#endif
};
void use(Here& here, Deleting& there) {
    const belay::Bridge bridge{std::ref(here), std::ref(there), belay::policies::bridge()};
}
}  // namespace remote_that_deletes_for_a_local_side_that_does_not

// expect-error: SyncProcessor: a store that is a variable must be passed as std::ref
namespace processor_of_a_named_memory_store {
void use() {
    belay::MemoryStore<std::string> store;
#if defined(BELAY_CONTROL)
    belay::SyncProcessor processor{std::move(store), belay::LastWriteWins{}, belay::SyncOptions{}};
#else
    belay::SyncProcessor processor{store, belay::LastWriteWins{}, belay::SyncOptions{}};
#endif
}
}  // namespace processor_of_a_named_memory_store

// expect-error: belay::part::hash_fields makes one of its fields
namespace value_without_a_hash {
struct Note {
    std::string text;
    bool is_done;
};
#if defined(BELAY_CONTROL)
inline std::uint64_t content_hash(const Note& note) {
    return belay::part::hash_fields(note.text, note.is_done);
}
#endif
void use(std::span<const belay::Operation<Note>> operations) {
    belay::MemoryStore<Note> store;
    static_cast<void>(sizeof(store));
    static_cast<void>(operations);
}
}  // namespace value_without_a_hash

// expect-error: SyncProcessor::process_with_retry: the third argument must be a policy
namespace options_in_the_place_of_the_policy {
template <class Sleeper>
void use(belay_test::MinimalStore& store, Sleeper& sleeper) {
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}};
#if defined(BELAY_CONTROL)
    static_cast<void>(processor.process_with_retry("s", {}, belay::MaxAttempts{2}, sleeper));
#else
    static_cast<void>(processor.process_with_retry("s", {}, belay::SyncOptions{}, sleeper));
#endif
}
void with(belay_test::MinimalStore& store, belay_test::AsyncSleeper& sleeper) {
    use(store, sleeper);
}
}  // namespace options_in_the_place_of_the_policy

// expect-error: process_with_retry: the fourth argument must be a policy
namespace options_in_the_place_of_the_policy_of_a_coroutine {
template <class Processor>
void use(Processor& processor, belay_test::AsyncSleeper& sleeper) {
#if defined(BELAY_CONTROL)
    static_cast<void>(process_with_retry(processor, "s", {}, belay::MaxAttempts{2}, sleeper));
#else
    static_cast<void>(process_with_retry(processor, "s", {}, belay::SyncOptions{}, sleeper));
#endif
}
void with(belay_test::MinimalStore& store, belay_test::AsyncSleeper& sleeper) {
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}};
    use(processor, sleeper);
}
}  // namespace options_in_the_place_of_the_policy_of_a_coroutine

// expect-error: SleeperLike: S::sleep_until must be noexcept
namespace sleeper_that_may_throw {
struct Sleeper {
    [[nodiscard]] belay::Instant now() const noexcept { return {}; }
    [[nodiscard]] belay::Random& bits() noexcept { return random; }
#if defined(BELAY_CONTROL)
    void sleep_until(belay::Instant, const auto&) noexcept {}
#else
    void sleep_until(belay::Instant, const auto&) {}
#endif
    belay::Random random{belay::Seed{1}};
};
void use(belay_test::MinimalStore& store, Sleeper& sleeper) {
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}};
    static_cast<void>(processor.process_with_retry("s", {}, belay::MaxAttempts{2}, sleeper));
}
}  // namespace sleeper_that_may_throw

// expect-error: StoreLike: S's prefetch must be 'void prefetch
namespace store_whose_prefetch_may_throw {
struct Mine : belay_test::MinimalStore {
#if defined(BELAY_CONTROL)
    void prefetch(const belay::part::ElementKey&, const belay::Id&) noexcept {}
#else
    void prefetch(const belay::part::ElementKey&, const belay::Id&) {}
#endif
};
static_assert(belay::explain::store_like<Mine>());
}  // namespace store_whose_prefetch_may_throw

// expect-error: StoreLike: S's replaced must be 'belay::Result
namespace store_whose_replaced_returns_no_optional {
struct Mine : belay_test::MinimalStore {
    using Version = belay::part::ReplacedVersion<operation_type::value_type>;
#if defined(BELAY_CONTROL)
    belay::Result<std::optional<Version>> replaced(const belay::Id&);
#else
    belay::Result<Version> replaced(const belay::Id&);
#endif
};
static_assert(belay::explain::store_like<Mine>());
}  // namespace store_whose_replaced_returns_no_optional

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

// expect-error: SyncProcessor: the observer's on_progress must be 'on_progress
namespace sync_observer_without_options {
struct App {
#if defined(BELAY_CONTROL)
    void on_progress(const belay::part::SyncProgress&) {}
#else
    void on_progress() {}
#endif
};
void use(belay_test::MinimalStore& store) {
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}, App{}};
}
}  // namespace sync_observer_without_options

// expect-error: Replica: the template arguments are the codec, the log and the local store
namespace replica_arguments_in_the_order_of_its_constructor {
using Codec = belay_test::TextCodec;
using Log = belay_test::ReplicaJournal;
using Store = belay::MemoryStore<std::string>;
#if defined(BELAY_CONTROL)
void use(belay::Replica<Codec, Log, Store>& replica) { static_cast<void>(replica.waiting()); }
#else
void use(belay::Replica<Log, Store, Codec>& replica) { static_cast<void>(replica.waiting()); }
#endif
}  // namespace replica_arguments_in_the_order_of_its_constructor

// expect-error: CodecLike: C needs 'decode
namespace replica_codec_without_decode {
struct Codec {
    bool encode(const std::string&, belay::Bytes&) const { return false; }
#if defined(BELAY_CONTROL)
    std::optional<std::string> decode(belay::BytesView) const { return std::nullopt; }
#endif
};
using Store = belay::MemoryStore<std::string>;
void use(belay_test::ReplicaJournal& log, Store& store) {
    belay::Replica replica{std::ref(log), std::ref(store), Codec{}};
}
}  // namespace replica_codec_without_decode

// expect-error: the value needs .std::uint64_t content_hash.const value_type&
namespace replica_of_values_without_a_hash {
struct Todo {
    std::string title;
};
#if defined(BELAY_CONTROL)
inline std::uint64_t content_hash(const Todo& todo) { return belay::part::hash_fields(todo.title); }
#endif
struct Codec {
    bool encode(const Todo&, belay::Bytes&) const { return false; }
    std::optional<Todo> decode(belay::BytesView) const { return std::nullopt; }
};
void use(belay_test::ReplicaJournal& log, belay::MemoryStore<Todo>& store) {
    belay::Replica replica{std::ref(log), std::ref(store), Codec{}};
}
}  // namespace replica_of_values_without_a_hash

// expect-error: Replica: the value needs .std::uint64_t content_hash.const value_type&
namespace named_replica_of_values_without_a_hash {
struct Todo {
    std::string title;
};
struct Codec {
    bool encode(const Todo&, belay::Bytes&) const { return false; }
    std::optional<Todo> decode(belay::BytesView) const { return std::nullopt; }
};
using Todos = belay::Replica<Codec, belay_test::ReplicaJournal, belay::MemoryStore<Todo>>;
// A program may name the type before it declares this function.
#if defined(BELAY_CONTROL)
inline std::uint64_t content_hash(const Todo& todo) { return belay::part::hash_fields(todo.title); }
#endif
void use(Todos& todos) { static_cast<void>(todos.load()); }
}  // namespace named_replica_of_values_without_a_hash

// expect-error: Replica: the local store needs note.name. and set_note.name, bytes.
namespace replica_over_a_store_without_notes {
struct Store : belay::MemoryStore<std::string> {
#if !defined(BELAY_CONTROL)
    void set_note(std::string_view, belay::BytesView) {}
#endif
};
void use(belay_test::ReplicaJournal& log, Store& store) {
    belay::Replica replica{std::ref(log), std::ref(store), belay_test::TextCodec{}};
}
}  // namespace replica_over_a_store_without_notes

// expect-error: Replica::for_each: visit must be callable as visit.std::string_view id
namespace replica_visit_of_strings {
using Store = belay::MemoryStore<std::string>;
#if defined(BELAY_CONTROL)
using Name = std::string_view;
#else
using Name = const std::string&;
#endif
void use(belay::Replica<belay_test::TextCodec, belay_test::ReplicaJournal, Store>& replica) {
    static_cast<void>(replica.for_each([](Name, const std::string&) {}));
}
}  // namespace replica_visit_of_strings

// expect-error: Replica::sync: on_report must be callable as on_report.const Report&., and return
namespace on_report_that_returns {
using Store = belay::MemoryStore<std::string>;
void use(belay::Replica<belay_test::TextCodec, belay_test::ReplicaJournal, Store>& replica,
         belay::SyncProcessor<std::reference_wrapper<Store>, belay::LastWriteWins>& server) {
    static_cast<void>(replica.sync(server, [](const auto& report) {
#if defined(BELAY_CONTROL)
        static_cast<void>(report);
#else
        return report.error == std::error_code{};  // the answer would be ignored
#endif
    }));
}
}  // namespace on_report_that_returns

// expect-error: Replica: pass a log or store that is a variable as std::ref
namespace replica_of_variables {
using Store = belay::MemoryStore<std::string>;
void use(belay_test::ReplicaJournal& log, Store& store) {
#if defined(BELAY_CONTROL)
    belay::Replica replica{std::ref(log), std::ref(store), belay_test::TextCodec{}};
#else
    belay::Replica replica{log, store, belay_test::TextCodec{}};
#endif
}
}  // namespace replica_of_variables

// expect-error: Replica: pass a log or store that is a variable as std::ref
namespace replica_of_variables_with_options {
using Store = belay::MemoryStore<std::string>;
void use(belay_test::ReplicaJournal& log, Store& store) {
#if defined(BELAY_CONTROL)
    belay::Replica replica{
        std::ref(log), std::ref(store), belay_test::TextCodec{}, {.session = "notes"}};
#else
    belay::Replica replica{log, store, belay_test::TextCodec{}, {.session = "notes"}};
#endif
}
}  // namespace replica_of_variables_with_options

// expect-error: Replica: edit.. takes an AddElement or UpdateElement of the codec's value
namespace replica_edit_of_another_value {
using Store = belay::MemoryStore<std::string>;
using Replica = belay::Replica<belay_test::TextCodec, belay_test::ReplicaJournal, Store>;
bool use(Replica& replica) {
#if defined(BELAY_CONTROL)
    return replica.edit(belay::AddElement{"shopping", std::string{"milk"}}).has_value();
#else
    return replica.edit(belay::AddElement{"shopping", 7}).has_value();
#endif
}
}  // namespace replica_edit_of_another_value

// expect-error: LinkExchange: the first argument must be a belay::Requests whose codec is
namespace link_exchange_in_order {
struct Loop {
    bool run_until(auto, belay::Duration) { return false; }
    belay::Instant now() const { return {}; }
};
struct Transport {
    using message_type = belay::Bytes;
    struct Connection {
        belay::SendResult send(const belay::Bytes&) noexcept { return belay::SendResult::down; }
    };
    Connection open(const belay::Link<belay::Bytes>&) { return {}; }
};
#if defined(BELAY_CONTROL)
using Codec = belay::part::SyncMessages;
#else
using Codec = belay::part::InOrder;
#endif
using Policy = belay::Policy<belay::MaxAttempts>;
void use(belay::Requests<Transport, Policy, Codec>& requests, Loop& loop) {
    belay::part::LinkExchange exchange{requests, loop};
}
}  // namespace link_exchange_in_order

// expect-error: ReplicaServer: the codec must be one of the processor's values
namespace replica_server_of_another_value {
struct Codec : belay_test::TextCodec {
#if !defined(BELAY_CONTROL)
    bool encode(int, belay::Bytes&) const { return true; }
    std::optional<int> decode(belay::BytesView) const { return 1; }
#endif
};
void use(belay::MemoryStore<std::string>& store) {
    belay::SyncProcessor processor{std::ref(store), belay::LastWriteWins{}};
    belay::part::ReplicaServer server{processor, Codec{}};
}
}  // namespace replica_server_of_another_value
