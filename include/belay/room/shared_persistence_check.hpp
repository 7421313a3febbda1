// SPDX-License-Identifier: MIT
/// \file belay/room/shared_persistence_check.hpp
/// check::shared_persistence: tests whether a storage that several servers share is correct;
/// room.hpp does not include it.
#pragma once

#include <algorithm>    // std::any_of, std::find, std::includes
#include <concepts>     // std::invocable
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <map>          // std::map
#include <memory>       // std::make_unique, std::shared_ptr, std::unique_ptr
#include <optional>     // std::optional
#include <set>          // std::set
#include <string>       // std::string
#include <thread>       // std::this_thread::yield
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/detail/rule_check.hpp>
#include <belay/core/order.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/persistence_check.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// The rules for a shared storage that the compiler cannot check. FanoutLike explains them.
enum class SharedPersistenceRule : std::uint8_t {
    answers_every_call,
    takes_what_it_should,
    one_history_begins,
    load_has_all_changes,
    entries_are_complete,
    entries_have_their_ids,
    servers_read_one_order,
    save_keeps_later_changes,
    save_rejects_what_is_older,
    ended_history_is_over,
    ended_history_takes_no_change,
    queued_change_meets_no_other_history,
    loss_is_a_gap,
    save_hides_no_loss
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(SharedPersistenceRule rule) noexcept {
    constexpr const char* sentences[] = {
        "the storage answers every call, and drops no Completion",
        "begin, append, reset, flush and save accept valid arguments",
        "of servers that begin a room at once, all have the same history",
        "load returns every flushed change of all servers, complete",
        "subscribe returns every flushed change after the position once, or reports a gap",
        "an entry has the id that append was given, and its update",
        "all servers read the same entries at the same positions, which grow",
        "save keeps every change after the position that it covers, also of other servers",
        "save rejects a snapshot that is older than the stored one, with stale_snapshot",
        "subscribe reports a history that was ended on purpose as over",
        "a change of an ended history is not stored, and the flush names its room",
        "a change that was queued in a history is not stored in a later one",
        "subscribe reports a gap to a server that has read an entry that is lost",
        "save rejects a snapshot that has a lost change which its server has not read back"};
    return detail::sentence_of(rule, sentences);
}

/// A fault that check::shared_persistence found.
struct SharedPersistenceFault {
    SharedPersistenceRule rule{};  ///< the rule that is broken
    std::uint64_t history = 0;     ///< the number of the history that broke the rule
    std::uint64_t step = 0;        ///< the number of steps before the fault
};

/// The extent of the tests of check::shared_persistence, and how long it waits for answers.
struct SharedPersistenceOptions {
    std::uint64_t histories = 20;  ///< the number of histories
    std::uint64_t steps = 100;     ///< of each history: changes, saves, kills and so on
    std::size_t servers = 3;       ///< the number of servers
    /// An answer that takes longer counts as none.
    Duration answer_timeout = std::chrono::seconds{10};
};

}  // namespace check

namespace detail {

struct NeverLoses {
    bool operator()(std::uint64_t /*history*/) const noexcept { return false; }
};

/// Several servers of one storage with a room, and the changes that it must have.
template <class Open, class Pump>
class SharedPersistenceChecker : public RuleCheck<check::SharedPersistenceRule> {
    using P = std::remove_cvref_t<decltype(std::declval<Open&>()(std::uint64_t{}))>;
    static_assert(explain::persistence_like<P>() && explain::fanout_like<P>());
    using Batch = Result<part::FanoutBatch, PersistenceError>;
    using Flushing = std::shared_ptr<typename AnswerWait<Pump>::template Slot<part::FlushedRooms>>;

    struct Server {
        std::unique_ptr<P> rooms{};
        Id id{};
        std::uint64_t sequence = 0;
        Id epoch{};
        std::uint64_t read = 0;
        std::vector<Bytes> document{};  // the updates that it has
        std::vector<Bytes> flushing{};
    };

public:
    SharedPersistenceChecker(Open& open, AnswerWait<Pump> wait,
                             // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): one caller
                             std::uint64_t history, std::size_t servers)
        : open_{open}, wait_{wait}, history_{history}, bits_{Seed{history}}, servers_(servers) {
        for (Server& server : servers_) start(server);
        begin();
    }

    void step() {
        Server& server = any();
        const std::uint64_t what = bits_() % 100;
        if (what < 30) return change(server);
        if (what < 45) return change_at_once();
        if (what < 65) return read(server);
        if (what < 77) return save(server);
        if (what < 82) return save_again(server);
        if (what < 88) return kill(server);
        if (what < 94) return load(server);
        if (what < 97) return end(server);
        // A server that has read nothing.
        start(server);
        load(server);
    }
    /// The storage has lost changes, unless `lose` returns false.
    template <class Lose>
    void lose(Lose& lose) {
        // The author's document has its last change, which it has not read back.
        Server& author = servers_.front();
        read(author);
        std::vector<Bytes> snapshot = author.document;
        append(author);
        snapshot.push_back(author.flushing.back());
        store(author, flush(author));
        for (Server& server : servers_)
            if (&server != &author) read(server);
        if (broken_ || !lose(history_)) return;
        std::unique_ptr<P> fresh = std::make_unique<P>(open_(history_));
        const std::optional<part::LoadedRoom> found = loaded(*fresh);
        const bool is_lost =
            !found || !*found || !**found || all_of(***found).size() < stored_.size();
        if (!is_lost) return;
        expect(bool{saved(author, snapshot, author.read)}, Rule::save_hides_no_loss);
        for (Server& server : servers_) {
            // The storage may have been away.
            std::optional<Batch> batch = subscribed(server);
            while (batch && !*batch) batch = subscribed(server);
            const bool reports = batch && (*batch)->state == part::FanoutBatch::State::gap;
            expect(reports, Rule::loss_is_a_gap);
        }
    }

private:
    static constexpr const char* room_id = "room";

    [[nodiscard]] Server& any() { return servers_[bits_() % servers_.size()]; }
    void start(Server& server) {
        server = Server{};
        server.rooms = std::make_unique<P>(open_(history_));
        server.id = make_id(bits_);
    }

    // ---- changes --------------------------------------------------------------------------------

    /// All servers begin the room at once.
    void begin() {
        std::vector<Flushing> answers;
        std::vector<Id> asked;
        for (Server& server : servers_) {
            expect(loaded(*server.rooms).has_value(), Rule::answers_every_call);
            asked.push_back(server.epoch = make_id(bits_));
            expect(!server.rooms->begin(room_id, server.epoch, false), Rule::takes_what_it_should);
            append(server);
            answers.push_back(flush(server));
        }
        for (std::size_t i = 0; i < servers_.size(); ++i) {
            Server& server = servers_[i];
            store(server, answers[i]);
            // It has queued this change before the answer.
            server.epoch = asked[i];
            change(server);
        }
        for (Server& server : servers_) {
            const Id told = server.epoch;
            expect(told == servers_.front().epoch, Rule::one_history_begins);
            load(server);
            expect(server.epoch == told, Rule::one_history_begins);
        }
        if (bits_() % 2 == 0) end_begun(servers_.front(), servers_.back(), asked.back());
    }
    /// A history ends that another server has begun under the epoch `asked`.
    void end_begun(Server& server, Server& other, const Id& asked) {
        if (&other == &server) return;
        begin_anew(server);
        other.epoch = asked;
        append(other);
        flush_late(other);
        for (Server& each : servers_) load(each);
    }
    /// Ends the history on purpose, and begins another one.
    void begin_anew(Server& server) {
        const Id next = make_id(bits_);
        const bool erases = bits_() % 2 == 0;
        const bool taken =
            erases ? !server.rooms->erase(room_id) && !server.rooms->begin(room_id, next, false)
                   : !server.rooms->reset(room_id, next);
        expect(taken, Rule::takes_what_it_should);
        stored_.clear();
        made_.clear();
        order_.clear();
        last_read_ = 0;
        store(server, flush(server));
    }
    /// Flushes a change of an ended history, after another one has begun.
    void flush_late(Server& server) {
        const std::optional<part::FlushedRooms> answer = wait_.end(flush(server));
        const auto named = [](const auto& one) { return one.first == room_id; };
        const std::vector<Bytes> late = std::exchange(server.flushing, {});
        for (const Bytes& update : late) made_.erase(update);
        load(server);
        for (const Bytes& update : late) {
            const auto& has = server.document;
            expect(std::find(has.begin(), has.end(), update) == has.end(),
                   Rule::queued_change_meets_no_other_history);
        }
        expect(answer && std::any_of(answer->error.rooms.begin(), answer->error.rooms.end(), named),
               Rule::ended_history_takes_no_change);
    }
    void append(Server& server) {
        Bytes update(8 + static_cast<std::size_t>(bits_() % 50));
        for (std::byte& b : update) b = static_cast<std::byte>(bits_());
        const part::ChangeId change{server.id, ++server.sequence, server.epoch};
        expect(!server.rooms->append(room_id, update, change), Rule::takes_what_it_should);
        made_.emplace(update, change);
        server.flushing.push_back(std::move(update));
    }
    [[nodiscard]] Flushing flush(Server& server) {
        return wait_.template begin<part::FlushedRooms>(
            [&](auto done) { server.rooms->flush(std::move(done)); });
    }
    void store(Server& server, const Flushing& flushing) {
        const std::optional<part::FlushedRooms> answer = wait_.end(flushing);
        expect(answer.has_value(), Rule::answers_every_call);
        expect(!answer || !answer->error, Rule::takes_what_it_should);
        if (answer && !answer->error) {
            server.epoch = no_id;
            for (const auto& [id, epoch] : answer->epochs)
                if (id == room_id) server.epoch = epoch;
        }
        for (Bytes& update : server.flushing) stored_.insert(std::move(update));
        server.flushing.clear();
    }
    void change(Server& server) {
        for (std::uint64_t count = 1 + bits_() % 3; count != 0; --count) append(server);
        store(server, flush(server));
    }
    void change_at_once() {
        std::vector<Flushing> answers;
        for (Server& server : servers_) {
            append(server);
            answers.push_back(flush(server));
        }
        for (std::size_t i = 0; i < servers_.size(); ++i) store(servers_[i], answers[i]);
    }
    /// Ends a server during a flush, whose changes are stored or not.
    void kill(Server& server) {
        append(server);
        if (bits_() % 2 == 0) static_cast<void>(flush(server));
        start(server);
        load(server);
    }
    /// Ends the history, while another server changes it.
    void end(Server& server) {
        for (Server& each : servers_) read(each);
        Server& other = any();
        const bool is_queued = &other != &server && bits_() % 2 == 0;
        if (is_queued) append(other);
        begin_anew(server);
        if (is_queued) {
            load(other);
            flush_late(other);
        } else if (&other != &server) {
            const std::optional<Batch> batch = subscribed(other);
            expect(batch && *batch && (*batch)->state == part::FanoutBatch::State::over,
                   Rule::ended_history_is_over);
            append(other);
            flush_late(other);
        }
        for (Server& each : servers_) load(each);
    }

    // ---- loads and saves ------------------------------------------------------------------------

    [[nodiscard]] std::optional<part::LoadedRoom> loaded(P& rooms) {
        return wait_.template operator()<part::LoadedRoom>(
            [&](auto done) { rooms.load(room_id, std::move(done)); });
    }
    [[nodiscard]] static std::vector<Bytes> all_of(const StoredRoom& found) {
        std::vector<Bytes> all = found.snapshot;
        all.insert(all.end(), found.updates.begin(), found.updates.end());
        return all;
    }
    void load(Server& server, Rule rule = Rule::load_has_all_changes) {
        const std::optional<part::LoadedRoom> found = loaded(*server.rooms);
        expect(found.has_value(), Rule::answers_every_call);
        if (!found) return;
        if (!*found || !**found) return expect(false, rule);
        server.epoch = (**found)->epoch;
        server.read = (**found)->position;
        last_read_ = larger(last_read_, server.read);
        server.document = all_of(***found);
        expect(has_all(server), rule);
    }
    [[nodiscard]] bool has_all(const Server& server) const {
        const std::set<Bytes> has{server.document.begin(), server.document.end()};
        return std::includes(has.begin(), has.end(), stored_.begin(), stored_.end());
    }
    void save(Server& server) {
        read(server);
        // A history without changes has nothing to cover.
        if (server.document.empty()) return;
        const std::uint64_t covers = server.read;
        const std::vector<Bytes> snapshot = server.document;
        // These are not in the snapshot.
        Server& other = any();
        change(other);
        expect(!saved(server, snapshot, covers), Rule::takes_what_it_should);
        start(other);
        load(other, Rule::save_keeps_later_changes);
    }
    /// A server saves what another one has replaced.
    void save_again(Server& server) {
        read(server);
        const std::uint64_t covers = server.read;
        const std::vector<Bytes> snapshot = server.document;
        Server& other = any();
        change(other);
        read(other);
        expect(!saved(other, other.document, other.read), Rule::takes_what_it_should);
        expect(saved(server, snapshot, covers) == RoomErrc::stale_snapshot,
               Rule::save_rejects_what_is_older);
        load(server, Rule::save_rejects_what_is_older);
    }
    [[nodiscard]] std::error_code saved(Server& server, const std::vector<Bytes>& snapshot,
                                        std::uint64_t covers) {
        const auto error = wait_.template operator()<PersistenceError>(
            [&](auto done) { server.rooms->save(room_id, snapshot, covers, std::move(done)); });
        expect(error.has_value(), Rule::answers_every_call);
        return error ? error->code : std::error_code{};
    }

    // ---- subscriptions --------------------------------------------------------------------------

    [[nodiscard]] static bool is_empty(const part::FanoutBatch& batch) noexcept {
        return batch.state == part::FanoutBatch::State::goes_on && batch.entries.empty() &&
               batch.messages.empty();
    }
    [[nodiscard]] std::optional<Batch> subscription(Server& server) {
        return wait_.template operator()<Batch>([&](auto done) {
            server.rooms->subscribe(room_id, server.epoch, server.read, std::move(done));
        });
    }
    [[nodiscard]] std::optional<Batch> subscribed(Server& server) {
        std::optional<Batch> batch = subscription(server);
        expect(batch.has_value(), Rule::answers_every_call);
        return batch;
    }
    /// Reads until the server has all changes that are stored, or that another server has read.
    void read(Server& server) {
        bool some = false;
        while (!broken_ && (server.read < last_read_ || !has_all(server))) {
            const std::optional<Batch> batch = subscription(server);
            const bool waits = !batch || (*batch && is_empty(**batch));
            // A subscription that was answered before has skipped an entry.
            if (waits)
                return expect(false, some ? Rule::entries_are_complete : Rule::answers_every_call);
            some = true;
            if (!*batch || (*batch)->state == part::FanoutBatch::State::over)
                return expect(false, Rule::entries_are_complete);
            // Entries that a snapshot covers may be removed.
            if ((*batch)->state == part::FanoutBatch::State::gap) return load(server);
            expect((*batch)->epoch == server.epoch, Rule::one_history_begins);
            for (const part::FanoutBatch::Entry& entry : (*batch)->entries) take(server, entry);
        }
    }
    void take(Server& server, const part::FanoutBatch::Entry& entry) {
        expect(entry.position > server.read, Rule::servers_read_one_order);
        const auto next = order_.upper_bound(server.read);
        // No entry that another server has read may be missing.
        expect(next == order_.end() || next->first >= entry.position, Rule::entries_are_complete);
        server.read = entry.position;
        last_read_ = larger(last_read_, server.read);
        const auto [known, is_new] = order_.emplace(entry.position, entry.update);
        expect(is_new || known->second == entry.update, Rule::servers_read_one_order);
        const auto made = made_.find(entry.update);
        const bool has_id = made != made_.end() && made->second.server == entry.change.server &&
                            made->second.sequence == entry.change.sequence;
        expect(has_id && entry.change.epoch == server.epoch, Rule::entries_have_their_ids);
        server.document.push_back(entry.update);
    }

    Open& open_;
    AnswerWait<Pump> wait_;
    std::uint64_t history_;
    Random bits_;
    std::vector<Server> servers_;
    std::map<Bytes, part::ChangeId> made_{};  // each change of the history
    std::set<Bytes> stored_{};                // those whose flush was answered
    std::map<std::uint64_t, Bytes> order_{};  // the entries that were read
    std::uint64_t last_read_ = 0;
};

}  // namespace detail

namespace check {

/// Runs random histories of a room on a storage that several servers share, and returns the first
/// fault.
///
/// Returns nothing if there is no fault.
///
/// - `open(history)` opens one more server on the storage of a history, and returns its
///   persistence. A history with a number that was not opened before has an empty storage. A server
///   that ends is destroyed without a flush, as if it were killed.
/// - `lose(history)` makes the storage of a history lose its last changes, and returns true: it
///   puts a backup back, or fails over to a replica that lags. It is called at the end of each
///   history, when all servers have read all changes.
/// - `pump()` is called again and again while an answer is awaited.
///
/// The same arguments give the same calls.
/// Errors:     the fault.   Throws: what the persistence and the other arguments throw.
/// Complexity: `histories` times `steps`, times the servers.
template <class Open, std::invocable<std::uint64_t> Lose, std::invocable Pump>
[[nodiscard]] std::optional<SharedPersistenceFault> shared_persistence(
    Open open, Lose lose, Pump pump, const SharedPersistenceOptions& options = {}) {
    for (std::uint64_t history = 0; history < options.histories; ++history) {
        detail::SharedPersistenceChecker<Open, Pump> checker{
            open, {pump, options.answer_timeout}, history, options.servers};
        for (std::uint64_t step = 0; step <= options.steps; ++step) {
            if (step == options.steps) checker.lose(lose);
            if (checker.broken()) return SharedPersistenceFault{*checker.broken(), history, step};
            if (step < options.steps) checker.step();
        }
    }
    return std::nullopt;
}

/// Tests a storage that loses nothing, and answers inside its calls, or from a thread of its own.
template <class Open>
[[nodiscard]] std::optional<SharedPersistenceFault> shared_persistence(
    Open open, const SharedPersistenceOptions& options = {}) {
    return shared_persistence(
        std::move(open), detail::NeverLoses{}, [] { std::this_thread::yield(); }, options);
}

}  // namespace check

}}  // namespace belay
