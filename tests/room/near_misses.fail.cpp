// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/room/audited.hpp>
#include <belay/room/memory_rooms.hpp>
#include <belay/room/persistence_check.hpp>
#include <belay/room/protocols.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/sim/tcp.hpp>

// expect-error: RoomManager: the observer's on_stopped must be 'on_stopped
namespace room_observer_hook {
struct App {
    void on_rejected(const belay::RoomRejection&) {}
#if defined(BELAY_CONTROL)
    void on_stopped(std::error_code) {}
#else
    void on_stopped() {}
#endif
};
void use() {
    belay::RoomManager rooms{belay::MemoryRooms{}, belay::EveryoneEdits{}, belay::RoomOptions{},
                             App{}};
}
}  // namespace room_observer_hook

// expect-error: RoomManager: the observer has no hook
namespace room_observer_deaf {
struct App {
#if defined(BELAY_CONTROL)
    void on_divergence(const belay::RoomDivergence&) {}
#else
    void on_diverged(const belay::RoomDivergence&) {}
#endif
};
void use() {
    belay::RoomManager rooms{belay::MemoryRooms{}, belay::EveryoneEdits{}, belay::RoomOptions{},
                             App{}};
}
}  // namespace room_observer_deaf

// expect-error: RoomManager: the observer's on_room_event must be 'on_room_event
namespace room_event_hook {
struct App {
    void on_rejected(const belay::RoomRejection&) {}
#if defined(BELAY_CONTROL)
    void on_room_event(const belay::RoomEvent&) {}
#else
    void on_room_event(belay::RoomEvent&) {}
#endif
};
void use() {
    belay::RoomManager rooms{belay::MemoryRooms{}, belay::EveryoneEdits{}, belay::RoomOptions{},
                             App{}};
}
}  // namespace room_event_hook

// expect-error: RoomManager: the observer's on_stateless must be 'on_stateless
namespace room_stateless_hook {
struct App {
    void on_rejected(const belay::RoomRejection&) {}
#if defined(BELAY_CONTROL)
    void on_stateless(const belay::RoomEvent::Stateless&) {}
#else
    void on_stateless(std::string_view payload) { static_cast<void>(payload); }
#endif
};
void use() {
    belay::RoomManager rooms{belay::MemoryRooms{}, belay::EveryoneEdits{}, belay::RoomOptions{},
                             App{}};
}
}  // namespace room_stateless_hook

// expect-error: RoomManager: the observer's on_rejected must be 'on_rejected
namespace room_observer_without_options {
struct App {
#if defined(BELAY_CONTROL)
    void on_rejected(const belay::RoomRejection&) {}
#else
    void on_rejected() {}
#endif
};
void use() { belay::RoomManager rooms{belay::MemoryRooms{}, belay::EveryoneEdits{}, App{}}; }
}  // namespace room_observer_without_options

// expect-error: RoomManager: the persistence must be moved in: std::move
namespace room_persistence_copied {
void use(belay::MemoryRooms& stored) {
#if defined(BELAY_CONTROL)
    belay::RoomManager rooms{std::move(stored), belay::EveryoneEdits{}};
#else
    belay::RoomManager rooms{stored, belay::EveryoneEdits{}};
#endif
}
}  // namespace room_persistence_copied

// expect-error: PersistenceLike: P needs 'std::error_code append
namespace manager_of_a_wrong_persistence {
struct Mine : belay::MemoryRooms {
#if !defined(BELAY_CONTROL)
    void append(std::string_view, belay::BytesView) {}
#endif
};
void use() { belay::RoomManager rooms{Mine{}, belay::EveryoneEdits{}}; }
}  // namespace manager_of_a_wrong_persistence

// expect-error: AuthorizerLike: A needs 'void check
namespace manager_of_a_wrong_authorizer {
struct Mine {
#if defined(BELAY_CONTROL)
    void check(const belay::RoomRequest&, belay::Completion<belay::Grant>) {}
#else
    bool check(const belay::RoomRequest&) { return true; }
#endif
};
void use() { belay::RoomManager rooms{belay::MemoryRooms{}, Mine{}}; }
}  // namespace manager_of_a_wrong_authorizer

// expect-error: RoomProtocolLike: 'disjoint' must be 'bool disjoint
namespace protocol_disjoint {
struct Protocol {
    belay::Result<belay::part::RoomMessage> read(belay::BytesView) const {
        return belay::part::RoomMessage{};
    }
    belay::Bytes write(const belay::part::RoomMessage&) const { return {}; }
#if defined(BELAY_CONTROL)
    bool disjoint(belay::BytesView, belay::BytesView) const { return false; }
#else
    int disjoint(belay::BytesView) const { return 0; }
#endif
};
static_assert(belay::explain::room_protocol_like<Protocol>());
}  // namespace protocol_disjoint

// expect-error: RoomProtocolLike: P needs both 'belay::Result<belay::BytesView> address
namespace protocol_address_without_room_id {
struct Protocol {
    belay::Result<belay::part::RoomMessage> read(belay::BytesView) const {
        return belay::part::RoomMessage{};
    }
    belay::Bytes write(const belay::part::RoomMessage&) const { return {}; }
    belay::Result<belay::BytesView> address(belay::BytesView frame) const { return frame; }
#if defined(BELAY_CONTROL)
    std::string_view room_id(belay::BytesView) const { return {}; }
#endif
};
static_assert(belay::explain::room_protocol_like<Protocol>());
}  // namespace protocol_address_without_room_id

// expect-error: AuthorizerLike: A needs 'void check
namespace authorizer_answers_at_once {
struct Authorizer {
#if defined(BELAY_CONTROL)
    void check(const belay::RoomRequest&, belay::Completion<belay::Grant>) {}
#else
    belay::Grant check(const belay::RoomRequest&) { return {}; }
#endif
};
static_assert(belay::explain::authorizer_like<Authorizer>());
}  // namespace authorizer_answers_at_once

// expect-error: AuditLike: A needs 'void record
namespace audit_says_nothing {
struct Audit {
#if defined(BELAY_CONTROL)
    void record(belay::AuditRow, belay::Completion<std::error_code>) {}
#else
    void record(belay::AuditRow) {}
#endif
};
static_assert(belay::explain::audit_like<Audit>());
}  // namespace audit_says_nothing

// expect-error: RoomManager: a persistence with begin.id, epoch, again., publish or subscribe must be
namespace fanout_in_part {
struct Rooms : belay::MemoryRooms {
#if !defined(BELAY_CONTROL)
    void publish(std::string_view, belay::BytesView) {}
#endif
};
void use() { belay::RoomManager rooms{Rooms{}, belay::EveryoneEdits{}}; }
}  // namespace fanout_in_part

// expect-error: RoomManager: a persistence with begin.id, epoch, again., publish or subscribe must be
namespace fanout_that_only_begins {
struct Rooms : belay::MemoryRooms {
#if !defined(BELAY_CONTROL)
    std::error_code begin(std::string_view, const belay::Id&, bool) { return {}; }
#endif
};
void use() { belay::RoomManager rooms{Rooms{}, belay::EveryoneEdits{}}; }
}  // namespace fanout_that_only_begins

// expect-error: FanoutLike: F needs 'void subscribe
namespace fanout_without_from {
struct Fanout {
    std::error_code begin(std::string_view, const belay::Id&, bool);
    std::error_code append(std::string_view, belay::BytesView, const belay::part::ChangeId&);
    void publish(std::string_view, belay::BytesView);
    void subscribe(
        std::string_view, const belay::Id&,
#if defined(BELAY_CONTROL)
        std::uint64_t,
#endif
        belay::Completion<belay::Result<belay::part::FanoutBatch, belay::PersistenceError>>);
};
static_assert(belay::explain::fanout_like<Fanout>());
}  // namespace fanout_without_from

// expect-error: check::persistence: make must be callable
namespace check_of_a_value {
#if defined(BELAY_CONTROL)
const auto make = [] { return belay::MemoryRooms{}; };
#else
const int make = 0;
#endif
void use() { static_cast<void>(belay::check::persistence(make)); }
}  // namespace check_of_a_value

// expect-error: AuthorizerLike: A needs 'void check
namespace authorizer_that_is_a_coroutine {
// The check would be made, dropped, and never run, so no client would be admitted.
struct Coroutine {};
struct Authorizer {
#if defined(BELAY_CONTROL)
    void check(const belay::RoomRequest&, belay::Completion<belay::Grant>) {}
#else
    Coroutine check(const belay::RoomRequest&, belay::Completion<belay::Grant>) { return {}; }
#endif
};
static_assert(belay::explain::authorizer_like<Authorizer>());
}  // namespace authorizer_that_is_a_coroutine

// expect-error: AuditLike: A needs 'void record
namespace audit_that_answers_twice {
struct Audit {
#if defined(BELAY_CONTROL)
    void record(belay::AuditRow, belay::Completion<std::error_code>) {}
#else
    bool record(belay::AuditRow, belay::Completion<std::error_code>) { return true; }
#endif
};
static_assert(belay::explain::audit_like<Audit>());
}  // namespace audit_that_answers_twice

// expect-error: RoomProtocolLike: P needs 'belay::Bytes write
namespace client_of_a_wrong_protocol {
struct Protocol {
    belay::Result<belay::part::RoomMessage> read(belay::BytesView) const {
        return belay::part::RoomMessage{};
    }
#if defined(BELAY_CONTROL)
    belay::Bytes write(const belay::part::RoomMessage&) const { return {}; }
#else
    void write(const belay::part::RoomMessage&) const {}
#endif
};
void use(belay::RoomManager<belay::MemoryRooms, belay::EveryoneEdits>& rooms,
         belay::sim::Accepted client) {
    static_cast<void>(rooms.accept(std::move(client), Protocol{}, belay::RoomRequest{}));
}
}  // namespace client_of_a_wrong_protocol

// expect-error: AuditLike: A needs 'void record
namespace audited_by_nobody {
struct Audit {
#if defined(BELAY_CONTROL)
    void record(belay::AuditRow, belay::Completion<std::error_code>) {}
#else
    void record(belay::AuditRow) {}
#endif
};
belay::Audited audited{belay::EveryoneEdits{}, Audit{}, belay::SystemClock{}};
}  // namespace audited_by_nobody

int main() {}

// expect-error: PersistenceLike: P is a Result; test it, and pass its value
namespace rooms_of_a_result {
#if defined(BELAY_CONTROL)
using Rooms = belay::MemoryRooms;
#else
using Rooms = belay::Result<belay::MemoryRooms>;
#endif

std::size_t use() { return sizeof(belay::RoomManager<Rooms, belay::EveryoneEdits>); }
}  // namespace rooms_of_a_result

// expect-error: RoomManager: pass the persistence first, then the authorizer
namespace rooms_with_the_authorizer_first {
#if defined(BELAY_CONTROL)
using Manager = belay::RoomManager<belay::MemoryRooms, belay::EveryoneEdits>;
#else
using Manager = belay::RoomManager<belay::EveryoneEdits, belay::MemoryRooms>;
#endif

std::size_t use() { return sizeof(Manager); }
}  // namespace rooms_with_the_authorizer_first
