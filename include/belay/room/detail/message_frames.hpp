// SPDX-License-Identifier: MIT
/// \file belay/room/detail/message_frames.hpp
/// MessageFrames: the frames of one message, which the clients of each protocol share.
#pragma once

#include <cstddef>  // std::size_t
#include <utility>  // std::move
#include <vector>   // std::vector

#include <belay/room/detail/room_client.hpp>
#include <belay/room/detail/turn_context.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The frames of one message: one for each protocol, written when its first client needs it.
///
/// Thread safety: the manager's home thread.
class MessageFrames {
public:
    /// One message at a time. No other message finds its frames, also if this one throws.
    class Scope {
    public:
        explicit Scope(MessageFrames& frames) noexcept : frames_{frames} {
            frames_.written_.clear();
        }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;
        ~Scope() { frames_.written_.clear(); }

    private:
        MessageFrames& frames_;
    };

    [[nodiscard]] Ref<RoomFrame> of(RoomClient& client, const part::RoomMessage& message) {
        for (const Written& w : written_) {
            if (w.ops == client.ops) return w.frame;
        }
        add(client, Ref<RoomFrame>::make(client.ops->write(client, message)));
        return written_.back().frame;
    }
    /// Adds a frame for the clients of a protocol.
    void add(const RoomClient& client, Ref<RoomFrame> frame) {
        written_.push_back({client.ops, std::move(frame)});
    }
    /// Begins to measure the time of the edit whose frames were written. It ends with the last
    /// reference to the last of them.
    void measure(TurnContext& context, Instant since) noexcept {
        if (since == never || written_.empty()) return;
        const Ref<RoomFrame>& first = written_.front().frame;
        first->time = {.counters = &context.counters, .now = &context.now, .since = since};
        for (std::size_t i = 1; i < written_.size(); ++i) written_[i].frame->first = first;
    }

private:
    struct Written {
        const RoomClientOps* ops;
        Ref<RoomFrame> frame;
    };
    std::vector<Written> written_;
};

}}}  // namespace belay::detail
