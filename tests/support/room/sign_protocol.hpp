// SPDX-License-Identifier: MIT
/// \file tests/support/room/sign_protocol.hpp
/// SignProtocol: a protocol of text, as that of docs/how-to/room-protocol.md.
#pragma once

#include <string>
#include <string_view>

#include <belay/core/result.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_protocol_like.hpp>

namespace belay_test {

/// Frames of text: a sign for the kind, and the payload.
struct SignProtocol {
    using Kind = belay::part::RoomMessage::Kind;
    static constexpr std::string_view signs = ".?=+@#!";

    [[nodiscard]] belay::Result<belay::part::RoomMessage> read(belay::BytesView frame) const {
        const std::size_t kind =
            frame.empty() ? std::string_view::npos : signs.find(belay::as_text(frame)[0]);
        if (kind == std::string_view::npos)
            return make_error_code(belay::RoomErrc::unknown_message);
        return belay::part::RoomMessage{static_cast<Kind>(kind), frame.subspan(1), {}};
    }
    [[nodiscard]] belay::Bytes write(const belay::part::RoomMessage& message) const {
        std::string frame(1, signs[static_cast<std::size_t>(message.kind)]);
        frame += belay::as_text(message.payload);
        return belay::to_bytes(frame);
    }
};

}  // namespace belay_test
