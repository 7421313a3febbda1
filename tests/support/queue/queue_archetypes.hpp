// SPDX-License-Identifier: MIT
/// \file tests/support/queue/queue_archetypes.hpp
/// Types that model the concepts of queue/ and nothing more; near-misses are in the static tests.
#pragma once

#include <belay/journal/file_system_like.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay_test {

struct MoveOnly {
    MoveOnly() = delete;
    explicit MoveOnly(int) noexcept {}
    MoveOnly(MoveOnly&&) noexcept = default;
    MoveOnly& operator=(MoveOnly&&) noexcept = default;
};

struct MinimalStorage {
    using value_type = MoveOnly;
    explicit MinimalStorage(int) noexcept {}
    MinimalStorage(MinimalStorage&&) noexcept = default;
    MinimalStorage& operator=(MinimalStorage&&) noexcept = default;

    bool try_push(MoveOnly&&) noexcept { return false; }
    std::optional<MoveOnly> try_pop() { return std::nullopt; }
    std::size_t size() const noexcept { return 0; }
    std::size_t capacity() const noexcept { return 1; }
};

struct MinimalLeasable : MinimalStorage {
    using MinimalStorage::MinimalStorage;
    MoveOnly* front() { return nullptr; }
    void ack() noexcept {}
    void nack() noexcept {}
};

/// Stores bytes, and has only the required members.
struct MinimalBytesStorage {
    using value_type = belay::Bytes;
    explicit MinimalBytesStorage(int) noexcept {}
    MinimalBytesStorage(MinimalBytesStorage&&) noexcept = default;
    MinimalBytesStorage& operator=(MinimalBytesStorage&&) noexcept = default;

    bool try_push(belay::Bytes&&) noexcept { return false; }
    std::optional<belay::Bytes> try_pop() { return std::nullopt; }
    std::size_t size() const noexcept { return 0; }
    std::size_t capacity() const noexcept { return 1; }
    belay::Bytes* front() { return nullptr; }
    void ack() noexcept {}
    void nack() noexcept {}
};

struct MinimalOverflow {
    static constexpr bool drops = false;
    explicit MinimalOverflow(int) noexcept {}
    MinimalOverflow(MinimalOverflow&&) noexcept = default;
    MinimalOverflow& operator=(MinimalOverflow&&) = delete;
    std::error_code make_space(auto&) { return make_error_code(belay::QueueErrc::queue_full); }
};

struct MinimalCodec {
    explicit MinimalCodec(int) noexcept {}
    MinimalCodec(MinimalCodec&&) noexcept = default;
    MinimalCodec& operator=(MinimalCodec&&) noexcept = default;

    bool encode(const MoveOnly&, belay::Bytes&) { return false; }
    std::optional<MoveOnly> decode(belay::BytesView) { return std::nullopt; }
};

struct MinimalFlushable {
    MinimalFlushable() = delete;
    MinimalFlushable(MinimalFlushable&&) = delete;

    std::error_code flush() noexcept { return {}; }
    bool unflushed() const noexcept { return false; }
};

/// Has all required members, without preallocation. Every call fails.
struct MinimalFileSystem {
    static std::error_code no() noexcept {
        return std::make_error_code(std::errc::operation_not_supported);
    }
    struct File {
        File(File&&) noexcept = default;
        File& operator=(File&&) noexcept = default;
        belay::Result<std::size_t> read(std::uint64_t, std::span<std::byte>) const noexcept {
            return no();
        }
        std::error_code write(std::uint64_t, belay::BytesView) noexcept { return no(); }
        belay::Result<std::uint64_t> size() const noexcept { return no(); }
        std::error_code sync() noexcept { return no(); }
        std::error_code lock() noexcept { return no(); }
        belay::Result<std::array<std::uint64_t, 2>> identity() const noexcept { return no(); }
    };
    struct Lock {
        Lock(Lock&&) noexcept = default;
        Lock& operator=(Lock&&) noexcept = default;
    };
    int state = 0;

    belay::Result<File> open(const std::string&, belay::OpenMode) noexcept { return no(); }
    belay::Result<Lock> lock(const std::string&) noexcept { return no(); }
    belay::Result<std::array<std::uint64_t, 2>> identity(const std::string&) noexcept {
        return no();
    }
    std::error_code rename(const std::string&, const std::string&) noexcept { return no(); }
    std::error_code remove(const std::string&) noexcept { return no(); }
    belay::Result<std::vector<std::string>> list(const std::string&) { return no(); }
    std::error_code create_directory(const std::string&) noexcept { return no(); }
    std::error_code sync_directory(const std::string&) noexcept { return no(); }
};

struct MinimalSequenced {
    MinimalSequenced(MinimalSequenced&&) noexcept = default;
    MinimalSequenced& operator=(MinimalSequenced&&) noexcept = default;

    const belay::Id& journal_id() const noexcept { return belay::no_id; }
    std::uint32_t run() const noexcept { return 1; }
    std::uint32_t salt() const noexcept { return 0; }
    const belay::Id& store_pin() const noexcept { return belay::no_id; }
    std::error_code pin_store(const belay::Id&) noexcept { return {}; }
    std::uint64_t base() const noexcept { return 1; }
    std::uint64_t last() const noexcept { return 0; }
    std::uint64_t durable() const noexcept { return 0; }
    belay::Result<std::uint64_t> append(belay::BytesView) noexcept { return std::uint64_t{1}; }
    std::error_code commit() noexcept { return {}; }
    belay::Result<belay::BytesView> read(std::uint64_t) { return belay::BytesView{}; }
    std::uint32_t salt_of(std::uint64_t) const noexcept { return 0; }
    belay::Result<std::uint64_t> check(std::uint64_t) { return std::uint64_t{0}; }
    std::error_code ack(std::uint64_t) noexcept { return {}; }
    std::error_code failed() const noexcept { return {}; }
};

}  // namespace belay_test
