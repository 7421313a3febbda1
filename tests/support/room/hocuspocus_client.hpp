// SPDX-License-Identifier: MIT
/// \file tests/support/room/hocuspocus_client.hpp
/// HocuspocusClient: a client of many documents in a RoomWorld, frame by frame.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/hex.hpp"
#include "support/room/room_world.hpp"

namespace belay_test {

using Frames = std::vector<std::string>;

/// A frame of HocuspocusProtocol that requests the state, without the document's name.
inline constexpr const char* ask_state = "00000100";

/// A frame of HocuspocusProtocol that carries a text typed by `author`, without the document's name.
inline std::string update_frame(std::uint64_t author, std::uint64_t clock, std::string_view text) {
    return to_hex(
        HocuspocusProtocol{}.write({part::RoomMessage::Kind::update, typed(author, clock, text)}));
}

inline long count_of(const Frames& frames, const std::string& frame) {
    return std::count(frames.begin(), frames.end(), frame);
}

/// A connection from a host of its own. It sends and receives frames as hexadecimal text.
class HocuspocusClient {
public:
    HocuspocusClient(RoomWorld& rooms, const std::string& name)
        : rooms_{&rooms}, host_{&rooms.world.host(name)} {
        rooms.in_band.insert(name);
    }
    HocuspocusClient& dial() {
        closed_with = 0;
        line_ = std::make_unique<Line>(*this);
        host_->attach(*line_);
        return *this;
    }
    /// Dials, sends tokens for these documents, and runs for a second. Discards the frames
    /// received.
    void enter(std::initializer_list<std::string_view> documents) {
        dial();
        for (const std::string_view document : documents) token(document, host_->name());
        rooms_->run(std::chrono::seconds{1});
        static_cast<void>(received());
    }
    void send(std::string_view hex) { send(from_hex(hex)); }
    void send(const Bytes& frame) {
        line_->waiting.push_back(frame);
        if (line_->link->opened()) line_->drain();
    }
    /// A frame of the document of that name.
    void send(std::string_view name, std::string_view hex) {
        Bytes frame;
        yjs::append_varbytes(frame, as_bytes(name));
        const Bytes body = from_hex(hex);
        frame.insert(frame.end(), body.begin(), body.end());
        send(frame);
    }
    void token(std::string_view name, std::string_view token, bool version = true) {
        Bytes body{std::byte{2}, std::byte{0}};
        yjs::append_varbytes(body, as_bytes(token));
        if (version) yjs::append_varbytes(body, as_bytes("4.8.0"));
        send(name, to_hex(body));
    }
    /// The frames received since the last call.
    Frames received() { return std::exchange(received_, {}); }
    /// The number of frames that the server has not accepted yet.
    [[nodiscard]] std::size_t unsent() const { return line_->waiting.size(); }
    [[nodiscard]] bool open() const { return line_ && !line_->link->ended(); }
    void stall(bool stalled) {
        stalled_ = stalled;
        line_->waker.touch();
    }
    void hang_up() { line_.reset(); }

    int closed_with = 0;

private:
    struct Line {
        explicit Line(HocuspocusClient& w) : client{&w} {}
        void attach(Waker w) {
            waker = std::move(w);
            link.emplace(sim::Tcp{*client->host_, "server", 1}, 8, waker, 0);
        }
        [[nodiscard]] Instant deadline() const noexcept {
            return client->stalled_ ? never : link->deadline();
        }
        void advance(Instant now) {
            if (client->stalled_) return;
            link->advance(now, 64, [&](const Bytes& coded, Lane) {
                if (coded.front() == std::byte{1}) {
                    client->closed_with = static_cast<int>(coded[1]) | static_cast<int>(coded[2])
                                                                           << 8;
                } else {
                    client->received_.push_back(to_hex(BytesView{coded}.subspan(1)));
                }
            });
            if (link->opened()) drain();
        }
        void drain() {
            while (!waiting.empty() && link->send(waiting.front()) != SendResult::busy)
                waiting.pop_front();
        }
        HocuspocusClient* client;
        Waker waker{};
        std::deque<Bytes> waiting{};
        std::optional<ServedLink<sim::Tcp>> link{};
    };

    RoomWorld* rooms_;
    sim::Host* host_;
    Frames received_{};
    bool stalled_ = false;
    std::unique_ptr<Line> line_;
};

}  // namespace belay_test
