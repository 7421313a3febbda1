// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_archetypes.hpp
/// The minimal models of the concepts of the room component.
#pragma once

#include <string_view>
#include <utility>

#include <belay/core/result.hpp>
#include <belay/room/document_like.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_protocol_like.hpp>

namespace belay_test {

/// Converts to T, and is no T.
template <class T>
class ConvertsTo {
public:
    explicit ConvertsTo(T value) : value_{std::move(value)} {}
    operator T() const { return value_; }

private:
    T value_;
};
/// A result of a document or a protocol with the members that the concepts name, and no others.
template <class T>
class MinimalResult {
public:
    explicit MinimalResult(T value) : value_{std::move(value)} {}
    MinimalResult(MinimalResult&&) = default;
    [[nodiscard]] ConvertsTo<bool> has_value() const { return ConvertsTo{true}; }
    [[nodiscard]] ConvertsTo<T> operator*() const { return ConvertsTo<T>{value_}; }
    [[nodiscard]] ConvertsTo<std::error_code> error() const {
        return ConvertsTo{std::error_code{}};
    }

private:
    T value_;
};

/// A protocol whose frames begin with the number of their kind, or are updates as they are.
class MinimalProtocol {
public:
    using Kind = belay::part::RoomMessage::Kind;

    explicit MinimalProtocol(int) {}
    MinimalProtocol(MinimalProtocol&&) = default;
    [[nodiscard]] MinimalResult<belay::part::RoomMessage> read(belay::BytesView frame) const {
        return MinimalResult{read_as(frame, Kind::denied, Kind::update)};
    }
    [[nodiscard]] belay::Bytes write(const belay::part::RoomMessage& message) const {
        belay::Bytes frame{static_cast<std::byte>(message.kind)};
        frame.insert(frame.end(), message.payload.begin(), message.payload.end());
        return frame;
    }

protected:
    /// Reads the kinds up to `last`. Other frames have the kind `other`.
    [[nodiscard]] static belay::part::RoomMessage read_as(belay::BytesView frame, Kind last,
                                                          Kind other) {
        const auto number = frame.empty() ? 255U : std::to_integer<unsigned>(frame[0]);
        const auto kind = static_cast<Kind>(number);
        const bool of_server =
            kind == Kind::granted || kind == Kind::rejected || kind == Kind::stored;
        if (number > static_cast<unsigned>(last) || of_server) return {other, frame, {}};
        return {kind, frame.subspan(1), {}};
    }
};
/// One whose frames begin with a room id of one byte, or are a ping or a pong. A frame without a
/// kind is a token.
class MinimalProtocolWithAddresses : public MinimalProtocol {
public:
    using MinimalProtocol::MinimalProtocol;
    [[nodiscard]] MinimalResult<belay::part::RoomMessage> read(belay::BytesView body) const {
        return MinimalResult{read_as(body, Kind::stateless, Kind::token)};
    }
    [[nodiscard]] MinimalResult<belay::BytesView> address(belay::BytesView frame) const {
        const bool own =
            frame.size() == 1 && (frame[0] == std::byte{static_cast<int>(Kind::ping)} ||
                                  frame[0] == std::byte{static_cast<int>(Kind::pong)});
        return MinimalResult{frame.first(frame.empty() || own ? 0 : 1)};
    }
    [[nodiscard]] std::string_view room_id(belay::BytesView address) const {
        return belay::as_text(address);
    }
};

/// A document without default construction.
class MinimalDocument {
public:
    explicit MinimalDocument(int) {}
    [[nodiscard]] MinimalResult<bool> check(belay::BytesView) { return MinimalResult{true}; }
    [[nodiscard]] ConvertsTo<std::error_code> apply(belay::BytesView) {
        return ConvertsTo{std::error_code{}};
    }
    [[nodiscard]] std::span<const belay::Bytes> snapshot() { return {}; }
    [[nodiscard]] std::size_t bytes() const noexcept { return 0; }
    [[nodiscard]] belay::Bytes state_vector() { return {}; }
    [[nodiscard]] MinimalResult<belay::Bytes> diff(belay::BytesView) {
        return MinimalResult{belay::Bytes{}};
    }
};

/// A persistence that cannot be copied or moved, and does nothing.
class MinimalPersistence {
public:
    MinimalPersistence() = default;
    MinimalPersistence(const MinimalPersistence&) = delete;
    MinimalPersistence& operator=(const MinimalPersistence&) = delete;
    void load(std::string_view,
              belay::Completion<
                  belay::Result<std::optional<belay::StoredRoom>, belay::PersistenceError>>) {}
    [[nodiscard]] std::error_code append(std::string_view, belay::BytesView) { return {}; }
    [[nodiscard]] std::error_code reset(std::string_view, const belay::Id&) { return {}; }
    [[nodiscard]] std::error_code erase(std::string_view) { return {}; }
    void flush(belay::Completion<belay::part::FlushedRooms>) {}
    void save(std::string_view, std::span<const belay::Bytes>, std::uint64_t,
              belay::Completion<belay::PersistenceError>) {}
    void list(std::string_view, std::size_t,
              belay::Completion<belay::Result<std::vector<std::string>, belay::PersistenceError>>) {
    }
};

/// A persistence that requests saves.
class PersistenceWithRoomsToSave : public MinimalPersistence {
public:
    [[nodiscard]] std::vector<std::string> rooms_to_save() { return {}; }
};

}  // namespace belay_test
