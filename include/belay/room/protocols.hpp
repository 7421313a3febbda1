// SPDX-License-Identifier: MIT
/// \file belay/room/protocols.hpp
/// YjsProtocol: the frames of y-websocket. HocuspocusProtocol: those of hocuspocus.
#pragma once

#include <algorithm>         // std::binary_search, std::sort
#include <cstddef>           // std::size_t
#include <cstdint>           // std::uint64_t
#include <initializer_list>  // std::initializer_list
#include <string_view>       // std::string_view
#include <vector>            // std::vector

#include <belay/core/order.hpp>
#include <belay/room/authorizer_like.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_protocol_like.hpp>
#include <belay/yjs/yjs_update.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Reads and writes the frames of y-websocket, each of which is one binary message.
///
///     0 sync: 0 state vector | 1 update, the answer to that | 2 update
///     1 awareness    2 auth: 0 and why something is denied    3 query awareness
///
/// A frame of a type above 3 is the application's own: it is a stateless message, and its payload
/// is the whole frame. A frame of another type with bytes after the payload is rejected, although
/// Yjs ignores these bytes.
///
/// Models:        RoomProtocolLike.
/// Thread safety: no state.
/// Source:        y-protocols:sync.js, awareness.js, auth.js; y-websocket:y-websocket.js.
struct YjsProtocol {
    /// The kinds of messages.
    using Kind = part::RoomMessage::Kind;

    /// Reads a frame.   Errors: malformed_frame, unknown_message.   Complexity: O(1).
    [[nodiscard]] Result<part::RoomMessage> read(BytesView frame) const {
        yjs::Lib0Reader in{frame};
        const std::uint64_t type = in.varuint();
        part::RoomMessage message;
        if (type == 0) {
            const std::uint64_t step = in.varuint();
            if (!in.failed() && step > 2) return make_error_code(RoomErrc::unknown_message);
            message = {step == 0   ? Kind::state_vector
                       : step == 1 ? Kind::state
                                   : Kind::update,
                       in.varbytes()};
        } else if (type == 1) {
            message = {Kind::awareness, in.varbytes()};
        } else if (type == 2) {
            // It has no meaning if a client sends it.
            static_cast<void>(in.varuint());
            static_cast<void>(in.varstring());
        } else if (type == 3) {
            message = {Kind::query_awareness, {}};
        } else if (!in.failed()) {
            return part::RoomMessage{Kind::stateless, frame, {}};
        }
        if (in.failed() || !in.at_end()) return make_error_code(RoomErrc::malformed_frame);
        return message;
    }

    /// Writes a message as a frame.
    [[nodiscard]] Bytes write(const part::RoomMessage& message) const {
        const BytesView payload = message.payload;
        switch (message.kind) {
            case Kind::state_vector:
                return frame({0, 0}, payload.empty() ? BytesView{nothing, 1} : payload);
            case Kind::state:
                return frame({0, 1}, payload.empty() ? BytesView{nothing, 2} : payload);
            case Kind::update:
                return frame({0, 2}, payload);
            case Kind::awareness:
                return frame({1}, payload);
            case Kind::denied:
                return frame({2, 0}, payload);
            default:
                return Bytes{std::byte{3}};
        }
    }

    /// Splits an update as yjs::split_update does. Bytes that are no update stay whole.
    [[nodiscard]] std::vector<Bytes> split(BytesView update, std::size_t bytes_max) const {
        auto pieces = yjs::split_update(update, detail::larger(bytes_max, yjs::split_bytes_min),
                                        yjs::Limits::none());
        if (pieces) return std::move(*pieces);
        return {to_bytes(update)};
    }

    /// Returns whether the state vector of a room and that of a client, neither of them empty, have
    /// no client id in common.
    ///
    /// The vector of the client need not be checked. It is not copied or sorted. If it names more
    /// clients than the room has and an update may have, together, it is not compared: a document
    /// rejects it.
    ///
    /// Complexity: O(m log n).
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): symmetric, except for the limit
    [[nodiscard]] bool disjoint(BytesView ours, BytesView theirs) const {
        std::vector<std::uint64_t> known;
        for_each_id(ours, [&known](std::uint64_t id) {
            known.push_back(id);
            return true;
        });
        std::sort(known.begin(), known.end());
        if (known.empty()) return false;
        if (yjs::Lib0Reader{theirs}.varuint() > known.size() + yjs::Limits{}.clients_max)
            return false;
        bool any = false;
        const bool none_is_known = for_each_id(theirs, [&](std::uint64_t id) {
            any = true;
            return !std::binary_search(known.begin(), known.end(), id);
        });
        return any && none_is_known;
    }

private:
    static constexpr std::byte nothing[2]{};

    [[nodiscard]] static Bytes frame(std::initializer_list<unsigned> head, BytesView payload) {
        Bytes out;
        out.reserve(payload.size() + 10);
        for (const unsigned number : head) yjs::append_varuint(out, number);
        yjs::append_varbytes(out, payload);
        return out;
    }
    /// Calls `f(id)` for the clients of which a state vector has something, until it returns false.
    /// Returns whether it never did.
    template <class F>
    static bool for_each_id(BytesView state_vector, F&& f) {
        yjs::Lib0Reader in{state_vector};
        for (std::uint64_t left = in.varuint(); left != 0 && !in.failed(); --left) {
            const std::uint64_t id = in.varuint();
            if (in.varuint() != 0 && !in.failed() && !f(id)) return false;
        }
        return true;
    }
};

/// Reads and writes the frames of hocuspocus, in which one WebSocket carries many documents.
///
/// Each frame begins with the name of its document, which is the room id. A NUL and a suffix may
/// follow the id, if one connection has several clients in the same room.
///
///     0 sync: 0 state vector | 1 update, the answer to that | 2 update
///     1 awareness    2 auth: 0 token, version | 1 denied, why | 2 granted, scope
///     3 query awareness    5 stateless    7 close    8 sync status: 1 durable | 0 rejected
///     9 ping, 10 pong: one byte, without a name
///
/// These frames are rejected, and close their sender:
/// - 4 and 6, which servers send to each other;
/// - 8, if a client sends it.
///
/// Models:        RoomProtocolLike.
/// Thread safety: no state.
/// Source:        @hocuspocus/provider 3.4.4 and 4.8.0, @hocuspocus/server 3.4.4 and 4.7.0.
struct HocuspocusProtocol {
    /// The kinds of messages.
    using Kind = part::RoomMessage::Kind;

    /// Returns the name at the beginning of a frame, with its length; empty for a ping or a pong.
    /// Errors: malformed_frame.   Complexity: O(name).
    [[nodiscard]] Result<BytesView> address(BytesView frame) const {
        if (frame.size() == 1 && (frame[0] == ping || frame[0] == pong)) return BytesView{};
        yjs::Lib0Reader in{frame};
        static_cast<void>(in.varstring());
        if (in.failed()) return make_error_code(RoomErrc::malformed_frame);
        return frame.first(in.offset());
    }
    /// Returns the room id in an address.   Pre: `address()` returned the address.
    [[nodiscard]] std::string_view room_id(BytesView address) const {
        const std::string_view name = yjs::Lib0Reader{address}.varstring();
        return name.substr(0, name.find('\0'));
    }

    /// Reads the part of a frame after its address.
    /// Errors: malformed_frame, unknown_message.   Complexity: O(bytes of a token), else O(1).
    [[nodiscard]] Result<part::RoomMessage> read(BytesView body) const {
        yjs::Lib0Reader in{body};
        const std::uint64_t type = in.varuint();
        part::RoomMessage message;
        if (type == 2) {
            if (in.varuint() != 0 && !in.failed())
                return make_error_code(RoomErrc::unknown_message);
            message = {Kind::token, as_bytes(in.varstring()), {}};
            if (!in.failed() && !in.at_end()) message.version = in.varstring();
        } else if (type == 5) {
            message = {Kind::stateless, as_bytes(in.varstring()), {}};
        } else if (type == 7) {
            message.kind = Kind::close;
            if (!in.failed() && !in.at_end()) message.payload = as_bytes(in.varstring());
        } else if (type == 9 || type == 10) {
            message.kind = type == 9 ? Kind::ping : Kind::pong;
        } else if (type < 4) {
            return YjsProtocol{}.read(body);
        } else if (!in.failed()) {
            return make_error_code(RoomErrc::unknown_message);
        }
        if (in.failed() || !in.at_end()) return make_error_code(RoomErrc::malformed_frame);
        return message;
    }

    /// Writes a message as a frame, without its address.
    [[nodiscard]] Bytes write(const part::RoomMessage& message) const {
        switch (message.kind) {
            case Kind::token:
                return frame({2, 0});
            case Kind::rejected:
                return frame({2, 1}, message.payload);
            case Kind::granted:
                return frame({2, 2}, as_bytes(as_text(message.payload) == to_string(Access::edit)
                                                  ? std::string_view{"read-write"}
                                                  : std::string_view{"readonly"}));
            case Kind::stateless:
                return frame({5}, message.payload);
            case Kind::close:
                return frame({7}, message.payload);
            case Kind::stored:
                return frame({8, 1});
            case Kind::denied:
                return frame({8, 0});
            case Kind::ping:
                return Bytes{ping};
            case Kind::pong:
                return Bytes{pong};
            default:
                return YjsProtocol{}.write(message);
        }
    }

    /// Splits an update as yjs::split_update does. Bytes that are no update stay whole.
    [[nodiscard]] std::vector<Bytes> split(BytesView update, std::size_t bytes_max) const {
        return YjsProtocol{}.split(update, bytes_max);
    }
    /// Returns whether two state vectors, neither of them empty, have no client id in common.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): it is symmetric
    [[nodiscard]] bool disjoint(BytesView a, BytesView b) const {
        return YjsProtocol{}.disjoint(a, b);
    }

private:
    static constexpr std::byte ping{9};
    static constexpr std::byte pong{10};

    [[nodiscard]] static Bytes frame(std::initializer_list<unsigned> head) {
        Bytes out;
        for (const unsigned number : head) yjs::append_varuint(out, number);
        return out;
    }
    [[nodiscard]] static Bytes frame(std::initializer_list<unsigned> head, BytesView text) {
        Bytes out = frame(head);
        yjs::append_varbytes(out, text);
        return out;
    }
};

}}  // namespace belay
