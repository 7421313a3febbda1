// SPDX-License-Identifier: MIT
/// \file tests/support/yjs/yjs_editor.hpp
/// YjsEditor: the state and the answers of a Yjs client, without a CRDT and without a
/// connection.
#pragma once

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include <belay/room/room_protocol_like.hpp>
#include <belay/yjs/lib0.hpp>
#include <belay/yjs/yjs_document.hpp>

#include "support/hex.hpp"

namespace belay_test {

using namespace belay;

/// The update that inserts `text` after all text of its author.
inline Bytes typed(std::uint64_t author, std::uint64_t clock, std::string_view text) {
    Bytes update;
    yjs::append_varuint(update, 1);
    yjs::append_varuint(update, 1);
    yjs::append_varuint(update, author);
    yjs::append_varuint(update, clock);
    if (clock == 0) {  // at the root named t; otherwise after its last text
        for (const int b : {4, 1, 1, 116}) update.push_back(static_cast<std::byte>(b));
    } else {
        update.push_back(std::byte{132});
        yjs::append_varuint(update, author);
        yjs::append_varuint(update, clock - 1);
    }
    yjs::append_varbytes(update, as_bytes(text));
    update.push_back(std::byte{0});
    return update;
}
/// The update that deletes units of an author.
inline Bytes deletion_of(std::uint64_t author, std::uint64_t clock, std::uint64_t len) {
    Bytes update{std::byte{0}};
    for (const std::uint64_t n : {std::uint64_t{1}, author, std::uint64_t{1}, clock, len})
        yjs::append_varuint(update, n);
    return update;
}
/// Client 7 sets the key "k" of the root "m" to a text, and deletes the value before it.
inline Bytes overwrite(std::uint64_t n, const std::string& text) {
    Bytes update = from_hex("010107");
    yjs::append_varuint(update, n);
    if (n == 0) {
        const Bytes head = from_hex("2801016d016b01");
        update.insert(update.end(), head.begin(), head.end());
    } else {
        for (const int b : {0x88, 7}) update.push_back(static_cast<std::byte>(b));
        yjs::append_varuint(update, n - 1);
        update.push_back(std::byte{1});
    }
    update.push_back(std::byte{119});
    yjs::append_varbytes(update, as_bytes(text));
    if (n == 0) return update.push_back(std::byte{0}), update;
    for (const int b : {1, 7, 1}) update.push_back(static_cast<std::byte>(b));
    yjs::append_varuint(update, n - 1);
    update.push_back(std::byte{1});
    return update;
}
inline Bytes awareness_of(std::uint64_t id, std::uint64_t clock, std::string_view state) {
    Bytes payload;
    yjs::append_varuint(payload, 1);
    yjs::append_varuint(payload, id);
    yjs::append_varuint(payload, clock);
    yjs::append_varbytes(payload, as_bytes(state));
    return payload;
}

/// An editor of one document. The derived class has the connection.
class YjsEditor {
public:
    using Kind = part::RoomMessage::Kind;

    explicit YjsEditor(std::uint64_t author) : author_{author} {}

    /// Its whole document, as bytes that are equal for equal documents.
    [[nodiscard]] Bytes document() {
        const auto parts = document_.snapshot();
        return parts.empty() ? Bytes(2) : parts.front();
    }
    [[nodiscard]] bool has(BytesView update) {
        static_cast<void>(document_.state_vector());
        return !document_.check(update).value_or(true);
    }

    bool answers_queries = true;
    bool looks_around = true;   ///< stores the presence of others
    bool relays_clock = true;   ///< sends its own presence again when its clock was raised
    std::size_t shifted = 0;    ///< times that a state of the server replaced its own one
    bool keeps_changes = true;  ///< stores the changes of others
    int closed_with = 0;
    bool synced = false;
    std::size_t updates = 0;    ///< from others
    std::size_t questions = 0;  ///< state vectors of the server
    std::size_t queries = 0;
    std::map<std::uint64_t, std::string> present{};  ///< the presence of each client
    std::uint64_t clock_max = 0;                     ///< of presence that it received

protected:
    [[nodiscard]] Bytes state_vector() { return document_.state_vector(); }
    /// Inserts text into its document.   Returns: the update.
    Bytes types(std::string_view text) {
        Bytes update = typed(author_, clock_, text);
        clock_ += text.size();
        take(update);
        return update;
    }
    /// Its own presence.
    [[nodiscard]] Bytes shows(std::string_view state) {
        own_state_ = state == "null" ? std::string_view{} : state;
        present[author_] = state;
        if (own_state_.empty()) present.erase(author_);
        return awareness_of(author_, ++clocks_[author_], state);
    }
    /// Its own presence, as a client sends it when it has connected; empty if it has none.
    [[nodiscard]] Bytes shown() {
        return own_state_.empty() ? Bytes{} : awareness_of(author_, clocks_[author_], own_state_);
    }
    /// Its connection ended: forgets the presence of others, and remembers their clocks.
    void forget_others() {
        std::erase_if(present, [&](const auto& one) { return one.first != author_; });
    }
    /// The close code with which the server rejects it, in a frame of a Coded transport.
    void receive_goodbye(BytesView coded) {
        closed_with = static_cast<int>(coded[1]) | static_cast<int>(coded[2]) << 8;
    }
    /// Handles a message of the server. It answers by `say(message)`.
    template <class Say>
    void receive_message(const part::RoomMessage& message, Say say) {
        switch (message.kind) {
            case Kind::state_vector: {
                ++questions;
                const auto diff = document_.diff(message.payload);
                return say({Kind::state, diff ? BytesView{*diff} : BytesView{}});
            }
            case Kind::state:
                synced = true;
                return keeps_changes ? take(message.payload) : void();
            case Kind::update:
                ++updates;
                return keeps_changes ? take(message.payload) : void();
            case Kind::awareness:
                if (looks_around && see(message.payload) && relays_clock)
                    say({Kind::awareness, shown()});
                return;
            case Kind::query_awareness:
                ++queries;
                if (!answers_queries) return;
                return say({Kind::awareness, Bytes{std::byte{0}}});
            default:
                return;
        }
    }

private:
    void take(BytesView update) {
        if (document_.check(update).value_or(false)) static_cast<void>(document_.apply(update));
    }
    /// Applies presence as y-protocols does.   Returns: whether its own clock was raised.
    bool see(BytesView payload) {
        bool raised = false;
        yjs::Lib0Reader in{payload};
        for (std::uint64_t left = in.varuint(); left != 0 && !in.failed(); --left) {
            const std::uint64_t id = in.varuint();
            const std::uint64_t clock = in.varuint();
            const std::string state{in.varstring()};
            clock_max = std::max(clock_max, clock);
            const bool own = id == author_ && !own_state_.empty();
            const auto known = clocks_.find(id);
            const bool ends = state == "null" && (own || present.contains(id));
            if (known != clocks_.end() &&
                (clock < known->second || (clock == known->second && !ends)))
                continue;
            clocks_[id] = clock;
            if (own && state == "null") {
                ++clocks_[id];
                raised = true;
            } else if (own) {
                if (own_state_ != state) ++shifted;
                own_state_ = present[id] = state;
            } else if (state == "null") {
                present.erase(id);
            } else {
                present[id] = state;
            }
        }
        if (in.failed()) throw std::runtime_error{"the server has sent bad awareness"};
        return raised;
    }

    std::uint64_t author_;
    std::uint64_t clock_ = 0;
    std::string own_state_{};
    std::map<std::uint64_t, std::uint64_t> clocks_{};  ///< of presence, also of clients that left
    YjsDocument document_{};
};

}  // namespace belay_test
