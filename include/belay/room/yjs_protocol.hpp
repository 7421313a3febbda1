// SPDX-License-Identifier: MIT
/// \file belay/room/yjs_protocol.hpp
/// YjsProtocol: the frames of y-websocket, as Yjs's WebsocketProvider uses them.
#pragma once

#include <algorithm>         // std::binary_search, std::sort
#include <cstddef>           // std::size_t
#include <initializer_list>  // std::initializer_list
#include <string_view>       // std::string_view
#include <vector>            // std::vector

#include <belay/core/order.hpp>
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

}}  // namespace belay
