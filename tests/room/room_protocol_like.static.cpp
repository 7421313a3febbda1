// SPDX-License-Identifier: MIT
// Goal: RoomProtocolLike accepts its minimal model, and rejects types that lack one requirement
// each.
#include <belay/room/room_protocol_like.hpp>

#include <belay/core/result.hpp>

#include "support/room/room_archetypes.hpp"

using namespace belay;

namespace {
struct LeastProtocol {
    LeastProtocol(LeastProtocol&&) = default;
    Result<part::RoomMessage> read(BytesView) const;
    Bytes write(const part::RoomMessage&) const;
};
struct ProtocolWithAll : LeastProtocol {
    std::vector<Bytes> split(BytesView, std::size_t) const;
    bool disjoint(BytesView, BytesView) const;
};
struct ProtocolThatSplitsOtherwise : LeastProtocol {
    Bytes split(BytesView, std::size_t) const;
};
class ProtocolThatHidesDisjoint : public LeastProtocol {
    bool disjoint(BytesView, BytesView) const;
};
struct ProtocolWithAddresses : ProtocolWithAll {
    Result<BytesView> address(BytesView) const;
    std::string_view room_id(BytesView) const;
};
struct ProtocolWithoutRoomId : LeastProtocol {
    Result<BytesView> address(BytesView) const;
};
struct ProtocolWithoutAddress : LeastProtocol {
    std::string_view room_id(BytesView) const;
};
class ProtocolThatHidesAddress : public LeastProtocol {
    Result<BytesView> address(BytesView) const;
};
struct ProtocolWithAnotherRoomId : LeastProtocol {
    Result<BytesView> address(BytesView) const;
    Bytes room_id(BytesView) const;
};
struct ProtocolThatChanges {
    Result<part::RoomMessage> read(BytesView);
    Bytes write(const part::RoomMessage&) const;
};
struct ReadResultThatChanges {
    static bool has_value() { return true; }
    part::RoomMessage operator*();
    static std::error_code error() { return {}; }
};
struct ProtocolWithAnotherResult {
    ReadResultThatChanges read(BytesView) const;
    Bytes write(const part::RoomMessage&) const;
};
struct ProtocolThatOnlyReads {
    Result<part::RoomMessage> read(BytesView) const;
};
}  // namespace

static_assert(RoomProtocolLike<belay_test::MinimalProtocol>);
static_assert(RoomProtocolLike<belay_test::MinimalProtocolWithAddresses>);
static_assert(detail::AddressesFrames<belay_test::MinimalProtocolWithAddresses>);
static_assert(RoomProtocolLike<LeastProtocol>);
static_assert(RoomProtocolLike<ProtocolWithAll>);
static_assert(RoomProtocolLike<ProtocolWithAddresses>);
static_assert(detail::AddressesFrames<ProtocolWithAddresses>);
static_assert(!detail::AddressesFrames<ProtocolWithAll>);
static_assert(!RoomProtocolLike<ProtocolWithoutRoomId>);
static_assert(!RoomProtocolLike<ProtocolWithoutAddress>);
static_assert(!RoomProtocolLike<ProtocolThatHidesAddress>);
static_assert(!RoomProtocolLike<ProtocolWithAnotherRoomId>);
static_assert(!RoomProtocolLike<ProtocolThatSplitsOtherwise>);
static_assert(!RoomProtocolLike<ProtocolThatHidesDisjoint>);
static_assert(!RoomProtocolLike<ProtocolThatChanges>);
static_assert(!RoomProtocolLike<ProtocolWithAnotherResult>);
static_assert(!RoomProtocolLike<ProtocolThatOnlyReads>);
static_assert(explain::room_protocol_like<ProtocolWithAll>());
