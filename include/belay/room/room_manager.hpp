// SPDX-License-Identifier: MIT
/// \file belay/room/room_manager.hpp
/// RoomManager: documents that several people edit at once, on a server that loses nothing.
#pragma once

#include <concepts>      // std::constructible_from, std::convertible_to
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_lvalue_reference_v, std::remove_cvref_t
#include <utility>       // std::forward, std::move
#include <variant>       // std::visit
#include <vector>        // std::vector

#include <belay/room/detail/room_hub.hpp>
#include <belay/yjs/yjs_document.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Keeps rooms: a document each, loaded when somebody comes, saved while it changes, let go when
/// nobody was there for long.
///
/// A change is validated, made durable, and only then part of the document that others get, and
/// sent to whoever is a client at that moment. What cannot be made durable nobody has seen: its
/// author is closed, to send it again later, and the room is loaded again.
///
/// Where the persistence is a FanoutLike, several servers have the same rooms: each change is sent
/// to the clients of all of them, and so is who is here.
///
/// Clients come over any transport of Bytes, and speak any protocol; of one room several. A client
/// that is slow, wrong or gone costs only itself. What ends it: it or the manager says goodbye; it
/// breaks the protocol or a limit; it is silent, or takes nothing, for
/// RoomOptions::heartbeat.dead_after; its Grant ends.
///
/// A Machine: attach it to a driver, which runs it on one thread, its home. Authorizer and
/// persistence must not call it.
///
/// Models:        MachineLike.
/// Thread safety: home thread only.
/// Complexity:    O(log n) for each client and room that is due; a change costs its own bytes, and
///                a message for each client of its room.
template <class Persistence, class Authorizer, class Observer = NoObserver,
          class Document = YjsDocument>
class RoomManager {
    // Not constraints: the compilers' words for a failed one would hide the sentences.
    static_assert(explain::persistence_like<Persistence>());
    static_assert(explain::authorizer_like<Authorizer>());
    static_assert(explain::document_like<Document>());
    using Hub = detail::RoomHub<Persistence, Authorizer, Document>;

public:
    /// The persistence is moved in; a named one is never copied. `empty` is what each room begins
    /// with.
    /// Pre: of the options all durations > 0ns, all limits > 0, 0 < heartbeat.every <
    /// heartbeat.dead_after, save_after <= save_within, save_retry_min <= save_retry_max,
    /// piece_bytes_max >= 1 KiB, close codes as RoomCloseCodes says.
    template <class P>
        requires std::constructible_from<Persistence, P>
    RoomManager(P&& persistence, Authorizer authorizer, RoomOptions options = {},
                Observer observer = {}, Document empty = Document{})
        : observer_{std::move(observer)},
          hub_{Persistence{std::forward<P>(persistence)}, std::move(authorizer), checked(options),
               empty} {
        static_assert(!std::is_lvalue_reference_v<P>,
                      "RoomManager: a named persistence is not copied: std::move(persistence)");
        static_assert(detail::explain_observer<Hooks, Observer>());
        static_assert(detail::FanoutIsSound<Persistence>,
                      "RoomManager: a persistence that has publish or subscribe must be a "
                      "belay::FanoutLike, or servers that share it would not hear of each other");
        hub_.tells_events_ = detail::hears<typename Hooks::Event, Observer>;
    }
    template <class P, class O>
        requires(!std::convertible_to<O, RoomOptions>)
    RoomManager(P&& persistence, Authorizer authorizer, const O&)
        : RoomManager{std::forward<P>(persistence), std::move(authorizer)} {
        static_assert(std::convertible_to<O, RoomOptions>,
                      "RoomManager: the third argument is belay::RoomOptions, the observer comes "
                      "behind it");
    }
    RoomManager(const RoomManager&) = delete;
    RoomManager& operator=(const RoomManager&) = delete;
    /// Silent: saves nothing, and says no goodbye; all that clients have seen is durable.
    ~RoomManager() = default;

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        waker_ = std::move(waker);
        hub_.attach(waker_);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        return hub_.notices_.empty() ? hub_.deadline() : always;
    }
    void advance(Instant now) {
        BELAY_PRECONDITION(!line_.in_turn(), "RoomManager::advance: must not be called in a hook");
        const driver::TurnGuard guard{line_};
        hub_.turn(now);
        tell(guard);
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Opens the doors; the sweeps begin.   Pre: attached.
    void start() {
        hub_.start(waker_.now());
        waker_.touch();
    }
    /// Says 1001 to all clients, makes everything durable and saves it; then `on_stopped` is told,
    /// with the error of what could not be saved, after RoomOptions::stop_within at the latest.
    void stop() {
        hub_.stop(waker_.now());
        waker_.touch();
    }

    /// Takes a client over from a listener. It is let in when the authorizer has said so and its
    /// room is loaded; else its upgrade is answered, and it is closed with the code that says why.
    /// Of a protocol whose frames have addresses (HocuspocusProtocol) `request.board`, `token` and
    /// `epoch` do not count: the upgrade is answered at once, and each document is asked for in
    /// frames.
    ///
    /// Returns: its id; none if there are far too many, and it was sent away without a word.
    /// Pre: attached.   Throws: std::bad_alloc; what the authorizer's check throws.
    template <class Transport, class Protocol>
    RoomClientId accept(Transport transport, Protocol protocol, RoomRequest request) {
        static_assert(explain::transport_like<Transport>());
        static_assert(explain::room_protocol_like<Protocol>());
        static_assert(std::is_same_v<typename Transport::message_type, Bytes>,
                      "RoomManager: the transport must carry belay::Bytes");
        return {hub_.accept(std::move(transport), std::move(protocol), std::move(request),
                            waker_.now())};
    }
    /// Says goodbye to a client.   Returns: whether there was one.
    bool remove_client(RoomClientId client) {
        const bool found = hub().remove(client.value);
        waker_.touch();
        return found;
    }
    /// Sends a frame as it is, behind its address where it has one, to all clients of a room but
    /// one; the document does not change. Who is too slow for it is closed.
    /// Returns: whether there is such a room.
    bool broadcast(std::string_view board, BytesView frame, RoomClientId exclude = {}) {
        const bool found = hub().broadcast(board, frame, exclude.value);
        waker_.touch();
        return found;
    }
    /// Changes a document, as an edit of a client's: durable first, then sent to all but `source`.
    ///
    /// Errors: unknown_room, not_loaded (see get_or_create_room); what the document refuses;
    /// not_durable. That it is durable says nothing; that it is not, on_room_failed.
    [[nodiscard]] std::error_code apply_update(std::string_view board, BytesView update,
                                               RoomClientId source = {}) {
        auto* const room = hub().find(board);
        if (room == nullptr) return RoomErrc::unknown_room;
        const std::error_code error = hub().update(*room, update, source.value);
        waker_.touch();
        return error;
    }
    /// The updates that make the document of a room; none if it is not here, or not loaded.
    [[nodiscard]] std::optional<std::vector<Bytes>> get_state(std::string_view board) {
        auto* const room = hub().find(board);
        if (room == nullptr || !room->core.live()) return std::nullopt;
        const std::span<const Bytes> parts = room->document.snapshot();
        return std::vector<Bytes>(parts.begin(), parts.end());
    }
    /// Has a room loaded, which counts as activity.
    /// Errors: bad_room_id, too_many, manager_stopped.
    [[nodiscard]] Result<RoomStats> get_or_create_room(std::string_view board) {
        std::error_code error;
        auto* const room = hub().find_or_make(board, error);
        if (room == nullptr) return error;
        hub().touch(*room);
        waker_.touch();
        return *stats(board);
    }
    /// Asks the authorizer again for all clients of a room: rights that were changed or taken away
    /// take effect.   Returns: how many were asked for.
    std::size_t reauthorize(std::string_view board) {
        const std::size_t asked = hub().reauthorize(board);
        waker_.touch();
        return asked;
    }

    // ---- rooms as a whole ----------------------------------------------------------------------

    // Their answers come at the end of a turn, on the home thread, from functions that may call
    // every command; manager_stopped where it does not run, too_many beyond
    // RoomOptions::calls_max, bad_room_id.

    /// Ends a room and all that is stored of it; also one that is not there. Its clients are closed
    /// with 4410; who comes before that is stored waits, and finds nothing.
    /// Errors: the storage's: refused, nothing has changed; of the flush, a load tells.
    void erase(std::string_view board, Completion<PersistenceError> done) {
        hub().office.erase(std::string{board}, std::move(done));
        waker_.touch();
    }
    /// Begins a room's history anew, empty, with a new epoch; also of a room that is not there. Its
    /// clients are closed with 4409; those at its door with 1013, to come again.
    /// Errors: as erase.
    void reset(std::string_view board, Completion<PersistenceError> done) {
        hub().office.reset(std::string{board}, std::move(done));
        waker_.touch();
    }
    /// The first rooms that are stored behind `after`, in the order of their bytes: at most
    /// `count`, which is 1 to 1,000.   Errors: invalid_argument; no_answer; the storage's.
    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        hub().office.list(after, count, std::move(done));
        waker_.touch();
    }
    /// A room as it is stored, all of it in `snapshot`; nothing if there is no such room. One that
    /// is not here is not kept here for it.   Errors: no_answer; the storage's; malformed_update.
    /// Complexity: as merging the document.
    void export_room(std::string_view board,
                     Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        hub().office.export_room(std::string{board}, std::move(done));
        waker_.touch();
    }
    /// Joins updates to a room, as edits of the server's; has it loaded. All of them are checked,
    /// on a copy of the document, before any is stored. A room without a history begins with the
    /// epoch of `content`, if that is one. The answer says that all is durable: of one update all
    /// or nothing is, after an error too, of several each.
    /// Errors: what the document refuses; update_too_large: more than unflushed_bytes_max at once;
    /// not_loaded, room_erased, history_reset meanwhile; not_durable; those of the flush.
    void import_room(std::string_view board, StoredRoom content,
                     Completion<PersistenceError> done) {
        hub().office.import_room(std::string{board}, std::move(content), std::move(done));
        waker_.touch();
    }

    // ---- observers -----------------------------------------------------------------------------

    /// What a room is like; none if it is not here.
    [[nodiscard]] std::optional<RoomStats> stats(std::string_view board) const {
        return hub_.stats(board);
    }
    [[nodiscard]] const RoomCounters& counters() const noexcept { return hub_.counters_; }
    [[nodiscard]] std::size_t rooms() const noexcept { return hub_.rooms(); }
    [[nodiscard]] std::size_t clients() const noexcept { return hub_.clients(); }
    [[nodiscard]] Persistence& persistence() noexcept { return hub_.persistence(); }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }

private:
    friend struct detail::LifelineOf;
    using Hooks = detail::RoomHooks<RoomManager>;

    /// Outside of a turn: between turns hours may go by.
    [[nodiscard]] Hub& hub() noexcept {
        hub_.at(waker_.now());
        return hub_;
    }
    [[nodiscard]] static constexpr bool closes(int code) noexcept {
        return code == 1008 || (code >= 3000 && code <= 4999);
    }
    [[nodiscard]] static const RoomOptions& checked(const RoomOptions& o) {
        constexpr Duration zero{};
        BELAY_PRECONDITION(o.save_after > zero && o.save_within > zero && o.unload_after > zero &&
                               o.sweep_every > zero && o.answer_within > zero &&
                               o.check_within > zero && o.stop_within > zero &&
                               o.linger_max > zero && o.awareness_within > zero &&
                               o.token_within > zero,
                           "RoomOptions: durations must be > 0ns");
        BELAY_PRECONDITION(o.save_after <= o.save_within,
                           "RoomOptions: save_after <= save_within must hold: a change is saved "
                           "within save_within, whatever follows it");
        BELAY_PRECONDITION(closes(o.close_codes.unauthorized) && closes(o.close_codes.forbidden),
                           "RoomOptions: close_codes must be 1008, or 3000 to 4999, not "
                           "of HTTP: 4401 for 401");
        BELAY_PRECONDITION(zero < o.save_retry_min && o.save_retry_min <= o.save_retry_max,
                           "RoomOptions: 0ns < save_retry_min <= save_retry_max must hold");
        BELAY_PRECONDITION(o.rooms_max > 0 && o.clients_max > 0 && o.clients_per_room_max > 0 &&
                               o.waiting_max > 0 && o.calls_max > 0 && o.saves_max > 0 &&
                               o.frame_bytes_max > 0 && o.messages_max > 0 &&
                               o.frames_per_turn_max > 0 && o.frames_per_second > 0 &&
                               o.frames_burst > 0 && o.client_bytes_max > 0 &&
                               o.answers_bytes_max > 0 && o.unflushed_bytes_max > 0 &&
                               o.awareness_bytes_max > 0 && o.awareness_ids_per_client_max > 0 &&
                               o.bytes_until_token > 0 && o.documents_per_client_max > 0,
                           "RoomOptions: limits must be > 0");
        BELAY_PRECONDITION(o.piece_bytes_max >= 1024,
                           "RoomOptions: piece_bytes_max must be >= 1 KiB");
        return o;
    }
    void tell(const driver::TurnGuard& guard) {
        // A hook may bring about further ones, for the next turn.
        for (std::size_t left = hub_.notices_.size(); left != 0; --left) {
            detail::RoomNotice notice = std::move(hub_.notices_.front());
            hub_.notices_.pop_front();
            std::visit([this](auto& what) { this->hear(what); }, notice);
            if (guard.gone()) return;
        }
    }
    void hear(const RoomRefusal& what) {
        detail::notify<typename Hooks::Refused>(observer_, *this, what);
    }
    void hear(const RoomDivergence& what) {
        detail::notify<typename Hooks::Divergence>(observer_, *this, what);
    }
    void hear(const RoomFailure& what) {
        detail::notify<typename Hooks::Failed>(observer_, *this, what);
    }
    void hear(const RoomEvent& what) {
        detail::notify<typename Hooks::Event>(observer_, *this, what);
    }
    void hear(const std::error_code& what) {
        detail::notify<typename Hooks::Stopped>(observer_, *this, std::error_code{what});
    }

    template <class V>
    void hear(detail::RoomAnswer<V>& what) {
        what.done(std::move(what.value));
    }

    [[no_unique_address]] Observer observer_;
    driver::Lifeline line_;
    Waker waker_;
    Hub hub_;
};

template <class P, class A>
RoomManager(P&&, A) -> RoomManager<std::remove_cvref_t<P>, A>;
template <class P, class A>
RoomManager(P&&, A, RoomOptions) -> RoomManager<std::remove_cvref_t<P>, A>;
template <class P, class A, class O>
    requires(!std::convertible_to<O, RoomOptions>)
RoomManager(P&&, A, const O&) -> RoomManager<std::remove_cvref_t<P>, A>;
template <class P, class A, class O>
RoomManager(P&&, A, RoomOptions, O) -> RoomManager<std::remove_cvref_t<P>, A, O>;
template <class P, class A, class O, class D>
RoomManager(P&&, A, RoomOptions, O, D) -> RoomManager<std::remove_cvref_t<P>, A, O, D>;

}}  // namespace belay
