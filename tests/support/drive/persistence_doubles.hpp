// SPDX-License-Identifier: MIT
/// \file tests/support/drive/persistence_doubles.hpp
/// Persistences for OnThread, and functions that wait for their results.
#pragma once

#include <atomic>
#include <latch>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include <belay/room/memory_rooms.hpp>

namespace belay_test {

/// The result of a Completion, and its thread; waits for it.
template <class V>
struct Waited {
    std::optional<V> value;
    std::thread::id thread;
};
template <class V, class Ask>
[[nodiscard]] Waited<V> wait_for(Ask&& ask) {
    Waited<V> waited;
    std::latch done{1};
    ask(belay::Completion<V>{[&](std::optional<V> value) noexcept {
        waited.value = std::move(value);
        waited.thread = std::this_thread::get_id();
        done.count_down();
    }});
    done.wait();
    return waited;
}
template <class V, class Ask>
[[nodiscard]] std::optional<V> waited(Ask&& ask) {
    return wait_for<V>(ask).value;
}
template <class V, class Ask>
[[nodiscard]] std::thread::id answered_by(Ask&& ask) {
    return wait_for<V>(ask).thread;
}

/// Its first flush waits until the gate is opened.
class GatedRooms : public belay::MemoryRooms {
public:
    struct Gate {
        std::latch arrived{1};
        std::latch opened{1};
        std::atomic<int> loads{0};
        std::atomic<int> saves{0};
    };
    explicit GatedRooms(Gate& gate) : gate_{&gate} {}
    void flush(belay::Completion<belay::part::FlushedRooms> done) {
        if (!std::exchange(passed_, true)) {
            gate_->arrived.count_down();
            gate_->opened.wait();
        }
        belay::MemoryRooms::flush(std::move(done));
    }
    void load(
        std::string_view id,
        belay::Completion<belay::Result<std::optional<belay::StoredRoom>, belay::PersistenceError>>
            done) {
        ++gate_->loads;
        belay::MemoryRooms::load(id, std::move(done));
    }
    void save(std::string_view id, std::span<const belay::Bytes> snapshot, std::uint64_t covers,
              belay::Completion<belay::PersistenceError> done) {
        ++gate_->saves;
        belay::MemoryRooms::save(id, snapshot, covers, std::move(done));
    }

private:
    Gate* gate_;
    bool passed_ = false;
};

class RoomsToSave : public belay::MemoryRooms {
public:
    RoomsToSave() = default;
    [[nodiscard]] std::vector<std::string> rooms_to_save() { return {"slow", "idle"}; }
};

/// A persistence that drops each request.
class AnswersNothing : public belay::MemoryRooms {
public:
    AnswersNothing() = default;
    void load(std::string_view,
              belay::Completion<
                  belay::Result<std::optional<belay::StoredRoom>, belay::PersistenceError>>) {}
    void flush(belay::Completion<belay::part::FlushedRooms>) {}
    void list(std::string_view, std::size_t,
              belay::Completion<belay::Result<std::vector<std::string>, belay::PersistenceError>>) {
    }
};

/// Completes the previous call when it is called again, like a storage with its own loop.
class AnswersLater : public belay::MemoryRooms {
public:
    using Found = belay::Result<std::optional<belay::StoredRoom>, belay::PersistenceError>;

    AnswersLater() = default;
    void load(std::string_view, belay::Completion<Found> done) {
        if (loading_) (*loading_)(Found{std::nullopt});
        loading_.emplace(std::move(done));
    }
    void flush(belay::Completion<belay::part::FlushedRooms> done) {
        if (flushing_) (*flushing_)(belay::part::FlushedRooms{});
        flushing_.emplace(std::move(done));
    }
    void save(std::string_view, std::span<const belay::Bytes>, std::uint64_t,
              belay::Completion<belay::PersistenceError> done) {
        if (saving_) (*saving_)(belay::PersistenceError{});
        saving_.emplace(std::move(done));
    }

private:
    std::optional<belay::Completion<Found>> loading_{};
    std::optional<belay::Completion<belay::part::FlushedRooms>> flushing_{};
    std::optional<belay::Completion<belay::PersistenceError>> saving_{};
};

}  // namespace belay_test
