// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_world.hpp
/// A server of rooms and its clients in a simulated world, with a storage that fails on
/// command.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <belay/room/memory_rooms.hpp>
#include <belay/room/protocols.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/sim/world.hpp>

#include "support/room/storage_host.hpp"
#include "support/yjs/yjs_editor.hpp"

namespace belay_test {

using namespace belay;

// ---- storage -----------------------------------------------------------------------------------

/// The exception that a `before` throws.
struct CallableThrew : std::runtime_error {
    CallableThrew() : std::runtime_error{"a callable of the user"} {}
};

/// The stored rooms, which survive the server's process, and the faults of the storage.
struct RoomScript {
    MemoryRooms durable{};
    Duration load_takes{};
    Duration flush_takes{};
    Duration save_takes{};
    int fail_loads = 0;
    int fail_flushes = 0;
    int fail_saves = 0;
    std::vector<std::string> rejected{};  ///< each flush that is stored fails for these rooms; a
                                          ///< room that is named again has another error
    std::error_code save_error = std::make_error_code(std::errc::io_error);  ///< of failed saves
    std::size_t saves_max = no_limit;  ///< further saves are answered storage_busy
    int hang_loads = 0;                ///< this many loads are never answered
    bool keeps_failed = false;         ///< a flush that fails stores its changes
    bool full = false;                 ///< appends are rejected
    bool refuses = false;              ///< appends are rejected, but histories begin
    int loads = 0;
    int loading = 0;
    int loading_max = 0;
    int flushes = 0;
    int saves = 0;
    int saving = 0;
    int saving_max = 0;
    bool hang_lists = false;  ///< calls of list() are never answered
    std::vector<Completion<Result<std::optional<StoredRoom>, PersistenceError>>> hung{};
    std::vector<Completion<Result<std::vector<std::string>, PersistenceError>>> hung_lists{};
    std::vector<std::string> lags{};
    std::function<void(std::string_view)> before{};  ///< of each call, with its name; may throw
    std::optional<StorageHost> host{};               ///< whose faults hit the calls, too
};

/// A storage over a RoomScript, in one process.
class ScriptedRooms {
public:
    ScriptedRooms(RoomScript& disk, sim::Host& host)
        : disk_{&disk}, host_{&host}, working_{disk.durable} {}

    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        begin_call("load");
        ++disk_->loads;
        if (disk_->hang_loads > 0) {
            --disk_->hang_loads;
            return disk_->hung.push_back(std::move(done));
        }
        disk_->loading_max = std::max(disk_->loading_max, ++disk_->loading);
        later(disk_->load_takes,
              [this, d = disk_, name = std::string{id}, c = std::move(done)]() mutable {
                  --d->loading;
                  using Answer = Result<std::optional<StoredRoom>, PersistenceError>;
                  if (d->fail_loads > 0) {
                      --d->fail_loads;
                      return c(Answer{PersistenceError{RoomErrc::snapshot_damaged, name, {}}});
                  }
                  if (reach() != Reach::works) return c(Answer{lost()});
                  d->durable.load(name, std::move(c));
              });
    }
    std::error_code append(std::string_view id, BytesView update) {
        begin_call("append");
        if (full() || disk_->refuses) return std::make_error_code(std::errc::no_space_on_device);
        const std::error_code error = working_.append(id, update);
        if (!error)
            staged_.push_back([name = std::string{id}, bytes = to_bytes(update)](MemoryRooms& to) {
                static_cast<void>(to.append(name, bytes));
            });
        return error;
    }
    std::error_code reset(std::string_view id, const Id& epoch) {
        begin_call("reset");
        if (full()) return std::make_error_code(std::errc::no_space_on_device);
        const std::error_code error = working_.reset(id, epoch);
        if (!error)
            staged_.push_back([name = std::string{id}, epoch](MemoryRooms& to) {
                static_cast<void>(to.reset(name, epoch));
            });
        return error;
    }
    std::error_code erase(std::string_view id) {
        begin_call("erase");
        if (full()) return std::make_error_code(std::errc::no_space_on_device);
        const std::error_code error = working_.erase(id);
        if (!error)
            staged_.push_back(
                [name = std::string{id}](MemoryRooms& to) { static_cast<void>(to.erase(name)); });
        return error;
    }
    void flush(Completion<part::FlushedRooms> done) {
        begin_call("flush");
        ++disk_->flushes;
        working_.flush(ignored_flush());
        // Copies the changes, and not all rooms, because the time of that would grow with their
        // number.
        auto changes = std::make_shared<std::vector<Staged>>(std::exchange(staged_, {}));
        later(disk_->flush_takes, [this, changes, c = std::move(done)]() mutable {
            const Reach reached = reach();
            const bool fails = disk_->fail_flushes > 0 || reached != Reach::works;
            part::FlushedRooms flushed;
            if (!fails || disk_->keeps_failed || reached == Reach::unanswered) {
                for (const Staged& change : *changes) change(disk_->durable);
                disk_->durable.flush(Completion<part::FlushedRooms>{
                    [&](std::optional<part::FlushedRooms> answer) noexcept {
                        flushed = std::move(*answer);
                    }});
            }
            if (!fails && !disk_->rejected.empty()) {
                const auto why = std::make_error_code(std::errc::io_error);
                PersistenceError& error = flushed.error;
                error.code = why;
                const std::error_code again = RoomErrc::history_reset;
                std::set<std::string> named;
                for (const std::string& id : disk_->rejected)
                    error.rooms.emplace_back(id, named.insert(id).second ? why : again);
                return c(std::move(flushed));
            }
            if (!fails) return c(std::move(flushed));
            if (reached == Reach::works) --disk_->fail_flushes;
            staged_.clear();
            working_ = disk_->durable;
            c(PersistenceError{std::make_error_code(std::errc::io_error), {}, {}});
        });
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        begin_call("save");
        ++disk_->saves;
        if (static_cast<std::size_t>(disk_->saving) >= disk_->saves_max)
            return done(PersistenceError{RoomErrc::storage_busy, {}, {}});
        disk_->saving_max = std::max(disk_->saving_max, ++disk_->saving);
        later(disk_->save_takes, [this, name = std::string{id},
                                  parts = std::vector<Bytes>(snapshot.begin(), snapshot.end()),
                                  covers, c = std::move(done)]() mutable {
            --disk_->saving;
            if (disk_->fail_saves > 0) {
                --disk_->fail_saves;
                return c(PersistenceError{disk_->save_error, name, {}});
            }
            const Reach reached = reach();
            if (reached == Reach::away) return c(lost());
            working_.save(name, parts, covers, ignored());
            if (reached == Reach::works)
                return disk_->durable.save(name, parts, covers, std::move(c));
            disk_->durable.save(name, parts, covers, ignored());
            c(lost());
        });
    }
    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        if (disk_->hang_lists) return disk_->hung_lists.push_back(std::move(done));
        disk_->durable.list(after, count, std::move(done));
    }
    std::vector<std::string> rooms_to_save() {
        begin_call("rooms_to_save");
        return std::exchange(disk_->lags, {});
    }

private:
    void begin_call(std::string_view name) const {
        if (disk_->before) disk_->before(name);
    }
    static Completion<PersistenceError> ignored() {
        return Completion<PersistenceError>{[](std::optional<PersistenceError>) noexcept {}};
    }
    static Completion<part::FlushedRooms> ignored_flush() {
        return Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}};
    }
    using Reach = StorageHost::Reach;
    [[nodiscard]] Reach reach() const {
        return disk_->host ? disk_->host->reach(*host_) : Reach::works;
    }
    [[nodiscard]] static PersistenceError lost() {
        return {std::make_error_code(std::errc::connection_refused), {}, {}};
    }
    [[nodiscard]] bool full() const { return disk_->full; }
    template <class F>
    void later(Duration d, F&& f) {
        if (d == Duration::zero() && waiting_.empty() && reach() != Reach::late) return f();
        host_->after(d, [this, g = std::forward<F>(f)]() mutable {
            waiting_.emplace_back(std::move(g));
            if (waiting_.size() == 1) carry_out();
        });
    }
    /// Carries out, in order, the calls that are due, except while the storage is frozen.
    void carry_out() {
        while (!waiting_.empty() && reach() != Reach::late) {
            auto call = std::move(waiting_.front());
            waiting_.pop_front();
            call();
        }
        if (!waiting_.empty()) host_->after(std::chrono::milliseconds{20}, [this] { carry_out(); });
    }

    RoomScript* disk_;
    sim::Host* host_;
    std::deque<detail::Function<void()>> waiting_{};
    using Staged = std::function<void(MemoryRooms&)>;
    MemoryRooms working_;           // the stored rooms, and the appends since
    std::vector<Staged> staged_{};  // the appends since the last flush
};
static_assert(PersistenceLike<ScriptedRooms>);

// ---- authorizer --------------------------------------------------------------------------------

/// A token is a user's name. It may have a grant of its own, for one room or for all rooms. A user
/// without one may edit.
struct RoomRights {
    std::map<std::string, Grant> grants{};
    Duration takes{};
    bool drops = false;
    int checks = 0;
    std::size_t waiting = 0;             ///< checks that have not been answered yet
    std::size_t waiting_max = no_limit;  ///< further ones are dropped
    std::size_t waiting_most = 0;
    std::function<void(std::string_view)> before{};  ///< as RoomScript::before
    std::string hangs_for{};                         ///< a room whose checks are never answered
    std::string hangs_for_token{};                   ///< a token whose checks are never answered
    bool hangs = false;                              ///< no check is answered
    std::vector<Completion<Grant>> hung{};
};
struct ListedRights {
    RoomRights* rights;
    sim::Host* host;
    void check(const RoomRequest& request, Completion<Grant> answer) const {
        if (rights->before) rights->before("check");
        ++rights->checks;
        if (rights->drops) return;
        if (rights->hangs || (!rights->hangs_for.empty() && request.room_id == rights->hangs_for) ||
            (!rights->hangs_for_token.empty() && request.token == rights->hangs_for_token))
            return rights->hung.push_back(std::move(answer));
        auto found = rights->grants.find(request.token + "@" + request.room_id);
        if (found == rights->grants.end()) found = rights->grants.find(request.token);
        Grant grant = found != rights->grants.end() ? found->second
                                                    : Grant{request.token, Access::edit, forever};
        if (rights->takes == Duration::zero()) return answer(std::move(grant));
        if (rights->waiting >= rights->waiting_max) return;
        rights->waiting_most = std::max(rights->waiting_most, ++rights->waiting);
        host->after(rights->takes,
                    [r = rights, c = std::move(answer), g = std::move(grant)]() mutable {
                        --r->waiting;
                        c(std::move(g));
                    });
    }
};

// ---- a transport whose clients receive close codes ---------------------------------------------

/// The bytes that a transport has accepted.
struct Taken {
    std::size_t bytes = 0;
    std::size_t longest = 0;
};

/// Begins each message to a client with a byte: 0, or 1 and the code of a close.
template <TransportLike T>
class Coded {
public:
    using message_type = Bytes;
    class Connection : public part::Wrapped<part::ConnectionOf<T>, Bytes> {
        using Base = part::Wrapped<part::ConnectionOf<T>, Bytes>;

    public:
        template <class F>
        Connection(F&& make, Taken* taken) : Base{std::forward<F>(make)}, taken_{taken} {}
        [[nodiscard]] SendResult send(Lane lane, const Bytes& message) noexcept {
            Bytes coded{std::byte{0}};
            coded.insert(coded.end(), message.begin(), message.end());
            const SendResult sent = Base::send(lane, coded);
            if (taken_ != nullptr && sent == SendResult::sent) {
                taken_->bytes += message.size();
                taken_->longest = std::max(taken_->longest, message.size());
            }
            return sent;
        }
        /// Not supported, as by other transports: the manager then compares the length of what has
        /// arrived.
        void limit_messages(std::size_t) noexcept = delete;
        void close(const Failure& why) noexcept {
            const auto code = static_cast<unsigned>(why.code);
            static_cast<void>(Base::send(0, Bytes{std::byte{1}, static_cast<std::byte>(code & 255U),
                                                  static_cast<std::byte>(code >> 8U)}));
            Base::close(why);
        }

    private:
        Taken* taken_;
    };

    explicit Coded(T inner, Taken* taken = nullptr) : inner_{std::move(inner)}, taken_{taken} {}
    [[nodiscard]] Connection open(const Link<Bytes>& link) {
        return Connection{[&] { return inner_.open(link); }, taken_};
    }

private:
    T inner_;
    Taken* taken_;
};

/// A connection that ends before its upgrade is answered, or whose upgrade is never answered.
struct AbortedUpgrade {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept { return SendResult::down; }
    };
    Connection open(const Link<Bytes>& link) {
        if (gone) static_cast<void>(link.closed(Failure::from(LinkErrc::closed_by_peer)));
        return {};
    }
    bool gone = true;
};

/// A YjsProtocol that counts its splits. Its calls may throw.
struct CountingYjs : YjsProtocol {
    std::size_t* cuts;
    const std::function<void(const part::RoomMessage&)>* before_write = nullptr;
    [[nodiscard]] Bytes write(const part::RoomMessage& message) const {
        if (before_write != nullptr && *before_write) (*before_write)(message);
        return YjsProtocol::write(message);
    }
    [[nodiscard]] std::vector<Bytes> split(BytesView update, std::size_t bytes_max) const {
        ++*cuts;
        return YjsProtocol::split(update, bytes_max);
    }
};

// ---- the server --------------------------------------------------------------------------------

/// Records all events.
struct RoomRecorder {
    std::vector<std::string>* reported;
    std::vector<std::string>* events = nullptr;
    const std::function<void(std::string_view)>* before = nullptr;
    RoomClientId last_joined{};
    std::error_code last_reason{};
    std::error_code last_denial{};  ///< of the last client whose edit was denied
    std::error_code last_eviction{};
    std::string last_limit{};  ///< of the last rejection
    std::vector<PersistenceError> failures{};
    void begin_call(std::string_view name) const {
        if (before != nullptr && *before) (*before)(name);
    }
    void on_rejected(const RoomRejection& r) {
        begin_call("on_rejected");
        last_limit = r.limit;
        reported->push_back("rejected " + r.room_id + " " + r.user + ": " + r.error.message());
    }
    void on_room_event(const RoomEvent& e) {
        begin_call("on_room_event");
        if (e.kind == RoomEvent::Kind::unloaded) last_eviction = e.reason;
        if (events == nullptr) return;
        events->push_back(std::string{to_string(e.kind)} + " " + e.room_id +
                          (e.user.empty() ? "" : " " + e.user) + " " + std::to_string(e.clients));
        if (e.kind == RoomEvent::Kind::joined) last_joined = e.client;
        if (e.kind == RoomEvent::Kind::left) last_reason = e.reason;
        if (e.kind == RoomEvent::Kind::denied) last_denial = e.reason;
    }
    void on_divergence(const RoomDivergence& d) { reported->push_back("divergence " + d.user); }
    void on_room_failed(const RoomFailure& f) {
        begin_call("on_room_failed");
        failures.push_back(f.error);
        reported->push_back("failed " + f.room_id + ": " + f.error.code.message());
    }
    void on_stopped(std::error_code e) {
        reported->push_back("stopped: " + (e ? e.message() : ""));
    }
};

/// A YjsDocument whose calls may throw.
struct HookedDocument : YjsDocument {
    const std::function<void(std::string_view)>* before = nullptr;

    HookedDocument() = default;
    explicit HookedDocument(const std::function<void(std::string_view)>& hook,
                            YjsDocumentOptions options = {})
        : YjsDocument{options}, before{&hook} {}
    [[nodiscard]] auto check(BytesView update) {
        begin_call("document.check");
        return YjsDocument::check(update);
    }
    auto apply(BytesView update) {
        begin_call("document.apply");
        return YjsDocument::apply(update);
    }
    [[nodiscard]] auto snapshot() {
        begin_call("document.snapshot");
        return YjsDocument::snapshot();
    }
    [[nodiscard]] Bytes state_vector() {
        begin_call("document.state_vector");
        return YjsDocument::state_vector();
    }
    [[nodiscard]] auto diff(BytesView theirs) {
        begin_call("document.diff");
        return YjsDocument::diff(theirs);
    }

private:
    void begin_call(std::string_view name) const {
        if (before != nullptr && *before) (*before)(name);
    }
};

using TestRooms = RoomManager<ScriptedRooms, ListedRights, RoomRecorder, HookedDocument>;

/// A world with one server, which listens at port 1. A host's name is the token of its client.
struct RoomWorld {
    explicit RoomWorld(Seed seed = Seed{1}, RoomOptions o = {}, YjsDocumentOptions d = {})
        : RoomWorld{std::make_unique<sim::World>(seed), o, d} {}
    /// Uses the world of an exploration.
    explicit RoomWorld(sim::World& w, RoomOptions o = {}, YjsDocumentOptions d = {})
        : options{o}, world{w}, server{world.host("server", [this, d](sim::Host& h) {
              if (on_start) on_start();
              auto rooms = std::make_unique<TestRooms>(
                  ScriptedRooms{disk, h}, ListedRights{&rights, &h}, options,
                  RoomRecorder{&reported, &events, &disk.before},
                  HookedDocument{document_before, d});
              h.attach(*rooms);
              rooms->start();
              h.listen(1, [this, r = rooms.get()](sim::Accepted a) {
                  RoomRequest request = request_of(std::string{a.peer()});
                  Taken* const by = &taken[std::string{a.peer()}];
                  const bool addressed = in_band.contains(std::string{a.peer()});
                  Coded<sim::Accepted> t{std::move(a), by};
                  const auto id =
                      addressed ? r->accept(std::move(t), HocuspocusProtocol{}, std::move(request))
                                : r->accept(std::move(t), CountingYjs{{}, &cuts, &before_write},
                                            std::move(request));
                  if (id != RoomClientId{}) last_client = id;
              });
              return rooms;
          })} {}

    [[nodiscard]] TestRooms& rooms() { return *server.process<TestRooms>(); }
    [[nodiscard]] RoomRequest request_of(const std::string& who) const {
        const auto found = requests.find(who);
        if (found != requests.end()) return found->second;
        return {.room_id = "board", .token = who, .ip = who};
    }
    void run(Duration d) {
        const Instant end = after(world.now(), d);
        for (;;) {
            try {
                return world.run_for(elapsed(world.now(), end));
            } catch (const CallableThrew&) {
                ++thrown;
            } catch (const std::bad_alloc&) {  // of a callable
                ++thrown;
            }
        }
    }
    /// Makes each editor dial, and gives it a second to join.
    template <class... Editors>
    void dial(Editors&... who) {
        (who.dial(), ...);
        run(std::chrono::seconds{1});
    }

    RoomOptions options;
    RoomScript disk{};
    RoomRights rights{};
    std::function<void(std::string_view)> document_before{};
    /// Called before a protocol writes.
    std::function<void(const part::RoomMessage&)> before_write{};
    /// Called when the server's process starts.
    std::function<void()> on_start{};
    std::vector<std::string> reported{};
    std::vector<std::string> events{};
    std::map<std::string, RoomRequest> requests{};
    std::set<std::string> in_band{};  ///< hosts that speak hocuspocus
    RoomClientId last_client{};
    std::map<std::string, Taken> taken{};  ///< by the clients' hosts
    std::size_t cuts = 0;                  ///< updates that were cut into pieces
    int thrown = 0;                        ///< exceptions that reached the world's loop
    sim::World& world;
    sim::Host& server;

private:
    RoomWorld(std::unique_ptr<sim::World> own, RoomOptions o, YjsDocumentOptions d)
        : RoomWorld{*own, o, d} {
        own_ = std::move(own);
    }

    std::unique_ptr<sim::World> own_{};  // the last member: processes refer to the others
};

// ---- a client ----------------------------------------------------------------------------------

/// A Yjs editor without a CRDT, at a host of its own. It connects once for each call of dial().
class RoomEditor : public YjsEditor {
public:
    RoomEditor(sim::World& world, const std::string& name, std::uint64_t author)
        : YjsEditor{author}, host_{&world.host(name)} {}
    RoomEditor(RoomWorld& rooms, const std::string& name, std::uint64_t author)
        : RoomEditor{rooms.world, name, author} {}
    /// Runs in the process of a host, or in a part of it.
    RoomEditor(sim::Host& host, std::uint64_t author) : YjsEditor{author}, host_{&host} {}
    /// Returns an editor that speaks hocuspocus, and has one document.
    static RoomEditor addressed(RoomWorld& rooms, const std::string& name, std::uint64_t author,
                                std::string_view document = "board") {
        return addressed(rooms, rooms.world.host(name), author, document);
    }
    static RoomEditor addressed(RoomWorld& rooms, sim::Host& host, std::uint64_t author,
                                std::string_view document) {
        rooms.in_band.insert(std::string{host.name()});
        return addressed(host, author, document);
    }
    static RoomEditor addressed(sim::Host& host, std::uint64_t author, std::string_view document) {
        RoomEditor editor{host, author};
        yjs::append_varbytes(editor.address_, as_bytes(document));
        editor.token = host.name();
        return editor;
    }

    void dial() {
        hang_up();
        closed_with = 0;
        synced = false;
        scope.clear();
        out_ = false;
        heard_at_ = host_->now();
        line_ = std::make_unique<Line>(*this);
        host_->attach(*line_);
    }
    void hang_up() {
        line_.reset();
        forget_others();
    }
    /// Whether Yjs's client would be connected. It closes a connection that was silent for 30 s.
    [[nodiscard]] bool online() const {
        return line_ && !out_ && !line_->link->ended() &&
               elapsed(heard_at_, host_->now()) < std::chrono::seconds{30};
    }

    /// Types, and sends the update if it is online.   Returns: the update.
    Bytes type(std::string_view text) {
        Bytes update = types(text);
        ++unsynced;
        if (line_ && line_->link->opened()) say({Kind::update, update});
        return update;
    }
    void show(std::string_view state) { say({Kind::awareness, shows(state)}); }
    void say(const part::RoomMessage& message) {
        Bytes frame = address_;
        const Bytes body = YjsProtocol{}.write(message);
        frame.insert(frame.end(), body.begin(), body.end());
        raw(frame);
    }
    /// Sends a token as HocuspocusProvider 4 does, to be admitted.
    void send_token() {
        Bytes frame = address_;
        frame.insert(frame.end(), {std::byte{2}, std::byte{0}});
        yjs::append_varbytes(frame, as_bytes(token));
        yjs::append_varbytes(frame, as_bytes("4.8.0"));
        raw(frame);
    }
    void raw(const Bytes& frame) {
        if (!online()) return;
        line_->waiting.push_back(frame);
        line_->drain();
    }
    [[nodiscard]] sim::Host& host() { return *host_; }
    /// Stops reading, or continues.
    void stall(bool stalled) {
        stalled_ = stalled;
        if (line_) line_->waker.touch();
    }

    std::string dials = "server";
    std::uint32_t unread_max = 8;  ///< frames that have arrived; more of them wait in the network
    std::size_t frames = 0;
    std::vector<std::string> denials{};
    std::string token{};  ///< of an editor that speaks hocuspocus, as are the members below
    std::string scope{};
    std::size_t unsynced = 0;  ///< as HocuspocusProvider counts it
    std::size_t refusals = 0;  ///< changes that were rejected
    std::size_t pings = 0;
    bool names_others = false;  ///< sends names of other documents, too

private:
    struct Line {
        explicit Line(RoomEditor& e) : editor{&e} {}
        void attach(Waker w) {
            waker = std::move(w);
            link.emplace(sim::Tcp{*editor->host_, editor->dials, 1}, editor->unread_max, waker, 0);
        }
        [[nodiscard]] Instant deadline() const noexcept {
            return editor->stalled_ ? never : link->deadline();
        }
        void advance(Instant now) {
            if (editor->stalled_) return;
            const bool was = link->opened();
            link->advance(now, 64, [&](const Bytes& coded, Lane) { editor->receive(coded); });
            if (link->take_writable()) drain();
            if (!was && link->opened()) editor->begin();
        }
        void drain() {
            while (!waiting.empty() && link->send(waiting.front()) != SendResult::busy)
                waiting.pop_front();
        }
        RoomEditor* editor;
        Waker waker{};
        std::deque<Bytes> waiting{};
        std::optional<ServedLink<sim::Tcp>> link{};
    };

    void begin() {
        heard_at_ = host_->now();  // Yjs's client counts from the opening, however late it is
        if (!address_.empty()) send_token();
        unsynced = 1;
        say({Kind::state_vector, state_vector()});
        if (const Bytes own = shown(); !own.empty()) say({Kind::awareness, own});
    }
    void receive(const Bytes& coded) {
        heard_at_ = host_->now();
        if (coded.front() == std::byte{1}) return receive_goodbye(coded);
        ++frames;
        const Bytes frame(coded.begin() + 1, coded.end());
        if (!address_.empty()) return receive_addressed(frame);
        if (frame.front() == std::byte{2}) {
            yjs::Lib0Reader in{BytesView{frame}.subspan(2)};
            denials.emplace_back(in.varstring());
            return;
        }
        const auto message = YjsProtocol{}.read(frame);
        if (!message) throw std::runtime_error{"the server has sent a bad frame"};
        on_message(*message);
    }
    void receive_addressed(const Bytes& frame) {
        if (frame == Bytes{std::byte{9}}) {
            ++pings;
            return raw(Bytes{std::byte{10}});
        }
        if (frame == Bytes{std::byte{10}}) return;
        if (!std::equal(address_.begin(), address_.end(), frame.begin(),
                        frame.begin() +
                            static_cast<std::ptrdiff_t>(std::min(address_.size(), frame.size())))) {
            if (names_others) return;
            throw std::runtime_error{"the server has sent a frame of another document"};
        }
        const BytesView body = BytesView{frame}.subspan(address_.size());
        yjs::Lib0Reader in{body};
        const std::uint64_t type = in.varuint();
        if (type == 2) {
            const std::uint64_t what = in.varuint();
            if (what == 0) return send_token();
            if (what == 2) return static_cast<void>(scope = in.varstring());
            denials.emplace_back(in.varstring());
            out_ = true;
        } else if (type == 7) {
            out_ = true;
        } else if (type == 8) {
            if (in.varuint() == 1) {
                if (unsynced != 0) --unsynced;
            } else {
                ++refusals;
            }
        } else {
            const auto message = YjsProtocol{}.read(body);
            if (!message) throw std::runtime_error{"the server has sent a bad frame"};
            on_message(*message);
        }
    }
    void on_message(const part::RoomMessage& message) {
        receive_message(message, [this](const part::RoomMessage& answer) { say(answer); });
    }

    sim::Host* host_;
    bool stalled_ = false;
    bool out_ = false;  ///< its document is closed, though the connection may be open
    Bytes address_{};   ///< the document's name, with which each frame begins
    Instant heard_at_{};
    std::unique_ptr<Line> line_;
};

/// The server's document of a room, as RoomEditor::document().
inline Bytes state_of(TestRooms& rooms, std::string_view board = "board") {
    const auto parts = rooms.get_state(board);
    return !parts || parts->empty() ? Bytes(2) : parts->front();
}

}  // namespace belay_test
