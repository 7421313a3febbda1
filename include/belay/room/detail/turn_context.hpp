// SPDX-License-Identifier: MIT
/// \file belay/room/detail/turn_context.hpp
/// TurnContext: the time, the options and the counters of a RoomManager, which all its parts share.
/// AdminAnswers: the calls on whole rooms that wait for an answer.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t
#include <exception>     // std::current_exception, std::exception_ptr, std::uncaught_exceptions
#include <list>          // std::list
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::type_identity_t
#include <utility>       // std::exchange, std::forward, std::move
#include <variant>       // std::variant
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/account.hpp>
#include <belay/room/detail/client_connection.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_observer.hpp>
#include <belay/room/room_options.hpp>
#include <belay/room/room_stats.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The answer to a call on a whole room. Its function may call the manager, or destroy it.
template <class V>
struct PendingAnswer {
    /// With a V, or with arguments of its constructor.
    template <class T>
    PendingAnswer(Completion<V>&& to, T&& result)
        : done{std::move(to)}, value{std::forward<T>(result)} {}

    Completion<V> done;
    V value;
};

/// An erase or a reset whose answer waits for a flush. Without `done`: a client waits for its end.
struct PendingAdmin {
    std::string room_id{};
    std::optional<Completion<PersistenceError>> done{};
};

/// An event for the observer, or an answer to a call. An error code means that the manager stopped.
using PendingEvent =
    std::variant<RoomRejection, RoomDivergence, RoomFailure, RoomEvent, RoomEvent::Stateless,
                 std::error_code, PendingAnswer<PersistenceError>, PendingAnswer<part::LoadedRoom>,
                 PendingAnswer<part::ListedRooms>>;

/// A client that ClientCloser closes later in the turn. The parts below the clients close none.
struct EndedClient {
    std::uint64_t id;  ///< of the client, or of a connection
    std::error_code why;
    std::string_view limit{};  ///< the option that it has reached, if there is one
    bool reported = true;      ///< to the observer, as a rejection; or only counted
};

/// Whether a RoomManager runs, and how it stops.
struct RunState {
    enum class Phase : std::uint8_t { idle, running, stopping, stopped };

    Phase phase = Phase::idle;
    Instant started = always;      ///< when the manager was last started
    Instant stop_ends = never;     ///< the end of `stop_within` while it stops
    std::error_code stop_error{};  ///< why something could not be saved while it stopped
};

/// The exceptions of a turn, of the user's callables. One room or client must not stop the others.
class TurnErrors {
public:
    /// Runs `f`, which processes one room or client. If it throws, runs `end`, which ends that room
    /// or client, because its state is uncertain then. The turn continues with the others.
    template <class F, class End>
    void contain(F&& f, End&& end) {
#if defined(__cpp_exceptions)
        try {
            f();
        } catch (...) {
            if (!first_) first_ = std::current_exception();
            end();
        }
#else
        f();
        static_cast<void>(end);
#endif
    }
    /// Runs `f`, where the turn cannot stop halfway, as at the end of a room. If it throws, what it
    /// does is left out.   Returns: whether it did not throw.
    template <class F>
    bool attempt(F&& f) noexcept {
        bool done = true;
        contain(f, [&] { done = false; });
        return done;
    }
    /// Throws the first exception of the turn, if there was one.
    void rethrow() {
#if defined(__cpp_exceptions)
        if (first_) std::rethrow_exception(std::exchange(first_, nullptr));
#endif
    }

private:
    std::exception_ptr first_{};
};

/// The hooks of the observer for which something is collected.
struct WantedHooks {
    bool events = false;     ///< a RoomEvent
    bool stateless = false;  ///< stateless messages
};

/// The rooms, and the clients, of a RoomManager. Each of their parts calls others by its module.
template <class Persistence, class Document>
struct RoomModule;
template <class Persistence, class Authorizer, class Document>
struct ClientModule;

/// The state that all parts of a RoomManager share: the manager owns it, and its parts refer to it.
///
/// The observer is notified at the end of a turn, when all parts are consistent. Until then the
/// events wait in `pending_events`.
///
/// Thread safety: the manager's home thread.
struct TurnContext {
    explicit TurnContext(const RoomOptions& o) : options{o} {}
    TurnContext(const TurnContext&) = delete;
    TurnContext& operator=(const TurnContext&) = delete;

    /// Sets the time of a turn. The time never goes back.
    void at(Instant time) noexcept { now = larger(now, time); }
    /// Sets the time of a call outside a turn: hours may pass between turns.
    void at_call() noexcept { at(waker.now()); }
    [[nodiscard]] bool runs() const noexcept { return run.phase == RunState::Phase::running; }

    /// Counts a client that is closed without an error of its own.
    void count_close(const std::error_code& why) {
        ++counters.closed;
        counters.reasons.add(why);
    }
    /// Counts an edit that is rejected, although its client stays.
    void count_denial(const std::error_code& why) {
        ++counters.denied;
        counters.denials.add(why);
    }
    /// Queues an event for the observer, if it has the hook.
    void report(RoomEvent::Kind kind, const RoomBase& room, const RoomClient* client = nullptr,
                const std::error_code& why = {}) {
        if (!wanted.events) return;
        RoomEvent event{.kind = kind, .room_id = room.id, .clients = room.clients.size()};
        event.reason = why;
        if (client != nullptr) event.user = client->rights.grant.user;
        if (client != nullptr) event.client.value = client->connection->id;
        if (client != nullptr && kind == RoomEvent::Kind::left) event.reason = client->end_reason;
        pending_events.push_back(std::move(event));
    }
    /// Counts a failed call of the storage, and queues it for the observer; an empty `room_id` is a
    /// failure of all rooms.
    void report_failure(const std::string& room_id, const PersistenceError& error) {
        ++counters.storage_failures;
        counters.failures.add(error.code);
        pending_events.push_back(RoomFailure{room_id, error});
    }
    /// Counts a rejected client, and queues the rejection for the observer. `limit` is the option
    /// that rejects it; empty: the one of the reason, if it has only one.
    void report_rejection(const RoomRequest& request, const std::string& user,
                          const std::error_code& why, std::string_view limit = {}) {
        ++counters.rejected;
        counters.reasons.add(why);
        if (const RoomReason* const reason = RoomReasons::find(why);
            limit.empty() && reason != nullptr && reason->limit != nullptr)
            limit = reason->limit;
        pending_events.push_back(RoomRejection{request.room_id, user, request.ip, why, limit});
    }

    /// Sends nothing more on a connection, which is closed later in the turn. `id` is that of the
    /// client that cannot receive, or of the connection.
    void fail_output(ClientConnection& connection, const EndedClient& failed) {
        if (std::exchange(connection.end.failed, true)) return;
        connection.output.clear();
        for (RoomClient* const client : connection.clients) connection.drop_output(*client);
        ended_clients.push_back(failed);
        waker.touch();
    }

    /// Names the author of a lost change, who is closed later in the turn; 0: it has none.
    void end_author(std::uint64_t author, const std::error_code& why) {
        const bool known = !ended_clients.empty() && ended_clients.back().id == author;
        if (author != 0 && !known) ended_clients.push_back({author, why});
    }

    const RoomOptions options;
    Waker waker{};  ///< of the manager
    RoomCounters counters{};
    std::list<PendingEvent> pending_events{};
    std::vector<EndedClient> ended_clients{};
    Random bits{};
    Instant now = always;
    Accounts accounts{now};  ///< of the users
    RunState run{};
    part::ChangeId last_change{};  ///< the id of this server, and the number of its last change
    TurnErrors errors{};
    WantedHooks wanted{};
};

/// Counts the calls on whole rooms that wait for an answer, up to `waiting_max`. The manager
/// delivers the answers at the end of its turn.
///
/// Thread safety: the manager's home thread.
class AdminAnswers {
public:
    /// An export holds a whole document until it is answered. A program processes many rooms one
    /// after the other, so only its administrators' calls at one time count.
    static constexpr std::size_t waiting_max = 100;

    explicit AdminAnswers(TurnContext& context) noexcept : context_{context} {}
    AdminAnswers(const AdminAnswers&) = delete;
    AdminAnswers& operator=(const AdminAnswers&) = delete;

    /// Gives back the place of a call that throws. Such a call is not answered, and does not wait.
    class Beginning {
    public:
        explicit Beginning(AdminAnswers& answers) noexcept : answers_{answers} {}
        Beginning(const Beginning&) = delete;
        Beginning& operator=(const Beginning&) = delete;
        ~Beginning() {
            if (std::uncaught_exceptions() > before_) --answers_.waiting_;
        }

    private:
        AdminAnswers& answers_;
        int before_ = std::uncaught_exceptions();
    };

    /// Begins a call, or answers it with an error.   Returns: whether it begins.
    template <class V>
    [[nodiscard]] bool accept(Completion<V>& done) {
        ++waiting_;
        std::error_code error;
        if (!context_.runs()) error = RoomErrc::manager_stopped;
        if (waiting_ > waiting_max) error = RoomErrc::too_many;
        if (error) answer_error(done, error);
        return !error;
    }
    /// Begins a call on the room with this id, or answers it with an error.
    /// Returns: whether it begins.
    template <class V>
    [[nodiscard]] bool accept(std::string_view room_id, Completion<V>& done) {
        if (!accept(done)) return false;
        if (is_room_id(room_id)) return true;
        answer_error(done, make_error_code(RoomErrc::bad_room_id));
        return false;
    }
    template <class V>
    void answer(Completion<V>& done, std::type_identity_t<V> result) {
        context_.pending_events.push_back(PendingAnswer<V>{std::move(done), std::move(result)});
        --waiting_;
    }
    template <class V>
    void answer_error(Completion<V>& done, const PersistenceError& error) {
        answer(done, PersistenceError{error});
    }
    template <class V>
    void answer_error(Completion<V>& done, const std::error_code& error) {
        answer(done, PersistenceError{error, {}, {}});
    }
    /// Whether no call waits for its answer.
    [[nodiscard]] bool empty() const noexcept { return waiting_ == 0; }

private:
    TurnContext& context_;
    std::size_t waiting_ = 0;  // for an answer
};

}}}  // namespace belay::detail
