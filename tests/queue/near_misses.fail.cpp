// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <string>
#include <vector>

#include <belay/queue/codec_like.hpp>
#include <belay/queue/concurrent_rings.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/flush_every.hpp>
#include <belay/queue/priority.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storage_check.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/queue/storages.hpp>
#include <belay/queue/weighed.hpp>

// expect-error: CodecLike: C needs 'encode.const T&, Bytes& into. -> bool'
namespace codec_like {
struct Codec {
#ifdef BELAY_CONTROL
    bool encode(const int&, belay::Bytes& into);
#else
    void encode(const int&, belay::Bytes& into);
#endif
    std::optional<int> decode(belay::BytesView bytes);
};

static_assert(belay::explain::codec_like<Codec>());
}  // namespace codec_like

// expect-error: Encoded: DeadLetters must be KeepDead or have
namespace encoded_dead_letters {
struct Codec {
    bool encode(const int&, belay::Bytes& into);
    std::optional<int> decode(belay::BytesView bytes);
};

struct Letters {
#ifdef BELAY_CONTROL
    bool try_push(belay::Bytes&&);
#else
    void try_push(belay::Bytes&&);
#endif
};

}  // namespace encoded_dead_letters
template class belay::Encoded<belay::Ring<belay::Bytes, 4>, encoded_dead_letters::Codec,
                              encoded_dead_letters::Letters>;

// expect-error: Encoded: the storage must store belay::Bytes, or take belay::BytesView in a
namespace encoded_storage {
struct Codec {
    bool encode(const int&, belay::Bytes& into);
    std::optional<int> decode(belay::BytesView bytes);
};

#ifdef BELAY_CONTROL
using Storage = belay::Ring<belay::Bytes, 4>;
#else
using Storage = belay::Ring<int, 4>;
#endif

belay::Encoded encoded{Storage{}, Codec{}};
}  // namespace encoded_storage

// expect-error: FlushableLike: L needs 'unflushed.. const noexcept -> bool'
namespace flushable_like {
struct Log {
    std::error_code flush() noexcept;
#ifdef BELAY_CONTROL
    bool unflushed() const noexcept;
#else
    bool unflushed() const;
#endif
};

static_assert(belay::explain::flushable_like<Log>());
}  // namespace flushable_like

// expect-error: MpmcRing: T must be movable and destructible without throwing
namespace mpmc_ring_throwing_move {
struct Value {
    Value() = default;
#ifdef BELAY_CONTROL
    Value(Value&&) noexcept;
#else
    Value(Value&&);
#endif
};

void make() { belay::MpmcRing<Value> ring{1}; }
}  // namespace mpmc_ring_throwing_move

// expect-error: Priority: lane_of needs 'operator
namespace priority_lane_of {
struct LaneOf {
    std::size_t operator()(int value) const
#ifdef BELAY_CONTROL
        noexcept
#endif
    {
        return value > 0 ? 0 : 1;
    }
};

belay::Priority<belay::Ring<int, 4>, 2, LaneOf> storage{{}};
}  // namespace priority_lane_of

// expect-error: Queue: the observer's on_pushed must be 'on_pushed
namespace queue_observer_changes_queue {
// A hook may read the queue, and must not change it.
struct Observer;
using Watched = belay::Queue<belay::Deque<int>, belay::Reject, Observer>;
struct Observer {
#ifdef BELAY_CONTROL
    void on_pushed(const Watched& queue, std::size_t size);
#else
    void on_pushed(Watched& queue, std::size_t size);
#endif
};

Watched queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
}  // namespace queue_observer_changes_queue

// expect-error: Queue: the observer's on_drained must be noexcept
namespace queue_observer_drain_throws {
struct Observer {
#ifdef BELAY_CONTROL
    void on_drained(const belay::DrainReport& result) noexcept;
#else
    void on_drained(const belay::DrainReport& result);
#endif
};

belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
}  // namespace queue_observer_drain_throws

// expect-error: Queue: the observer has no hook
namespace queue_observer_misspelt {
struct Observer {
#ifdef BELAY_CONTROL
    void on_pushed(std::size_t size);
#else
    void on_push(std::size_t size);
#endif
};

belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
}  // namespace queue_observer_misspelt

// expect-error: Queue: the observer's on_dropped must be 'on_dropped
namespace queue_observer_parameters {
struct Observer {
    void on_pushed(std::size_t size);
#ifdef BELAY_CONTROL
    void on_dropped(int value);
#else
    void on_dropped(const char* value);
#endif
};

belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
}  // namespace queue_observer_parameters

// expect-error: Queue: the observer's on_popped must be noexcept
namespace queue_observer_pop_throws {
struct Observer {
#ifdef BELAY_CONTROL
    void on_popped(std::size_t size) noexcept;
#else
    void on_popped(std::size_t size);
#endif
};

belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
}  // namespace queue_observer_pop_throws

// expect-error: SpscRing: T must be movable and destructible without throwing
namespace spsc_ring_throwing_move {
struct Value {
    Value() = default;
#ifdef BELAY_CONTROL
    Value(Value&&) noexcept;
#else
    Value(Value&&);
#endif
};

void make() { belay::SpscRing<Value> ring{1}; }
}  // namespace spsc_ring_throwing_move

// expect-error: check::storage: values must be comparable by ==
namespace storage_check_value {
struct Task {
    std::uint64_t number = 0;
#if defined(BELAY_CONTROL)
    friend bool operator==(const Task&, const Task&) = default;
#endif
};

const auto fault = belay::check::storage([] { return belay::Ring<Task>{8}; },
                                         [](std::uint64_t i) { return Task{i}; });
}  // namespace storage_check_value

// expect-error: StorageLike: S needs 'try_pop'
namespace storage_like {
struct Storage {
    using value_type = int;
    bool try_push(int&&) noexcept;
#ifdef BELAY_CONTROL
    std::optional<int> try_pop();
#endif
    std::size_t size() const noexcept;
    std::size_t capacity() const noexcept;
};

static_assert(belay::explain::storage_like<Storage>());
}  // namespace storage_like

// expect-error: StorageLike: S is a Result; test it, and pass its value
namespace queue_of_a_result {
void use(belay::Result<belay::Deque<int>> opened) {
#if defined(BELAY_CONTROL)
    belay::Queue queue{std::move(*opened)};
#else
    belay::Queue queue{std::move(opened)};
#endif
    static_cast<void>(queue.size());
}
}  // namespace queue_of_a_result

// expect-error: Weighed: bytes_of needs 'operator...const value_type&. const noexcept ->
namespace weighed_bytes_of {
// std::size_t'

struct BytesOf {
#ifdef BELAY_CONTROL
    std::size_t operator()(const int&) const noexcept;
#else
    std::size_t operator()(const int&) const;
#endif
};

belay::Weighed weighed{belay::Deque<int>{}, BytesOf{}};
}  // namespace weighed_bytes_of

// expect-error: FlushEvery: the queue must have flush.., as a Journal or a Queue over one
namespace flush_every_of_memory {
using namespace std::chrono_literals;
#if defined(BELAY_CONTROL)
struct Log {
    std::error_code flush() noexcept { return {}; }
    bool unflushed() const noexcept { return false; }
} log;
#else
belay::Queue<belay::Deque<int>> log;
#endif
belay::FlushEvery flusher{log, 100ms};
}  // namespace flush_every_of_memory

// expect-error: Queue::drain: the executor must return void, bool, std::error_code
namespace drain_with_a_number {
// Both 0 and -1 could mean a failure.
void use(belay::Queue<belay::Deque<int>>& queue) {
#ifdef BELAY_CONTROL
    static_cast<void>(queue.drain([](int) { return true; }));
#else
    static_cast<void>(queue.drain([](int) { return 0; }));
#endif
}
}  // namespace drain_with_a_number

// expect-error: ignoring return value
namespace drain_whose_error_is_lost {
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wunused-result"
void use(belay::Queue<belay::Deque<int>>& queue) {
#ifdef BELAY_CONTROL
    static_cast<void>(queue.drain([](int) { return true; }));
#else
    queue.drain([](int) { return true; });
#endif
}
#pragma GCC diagnostic pop
}  // namespace drain_whose_error_is_lost

// expect-error: Weighed: bytes_of needs 'operator...const value_type&. const noexcept ->
namespace weighed_texts {
// All texts would have the size of an empty one, so the limit would never apply.
#ifdef BELAY_CONTROL
using Value = std::string;
#else
using Value = std::vector<std::string>;
#endif

belay::Weighed weighed{belay::Deque<Value>{}};
}  // namespace weighed_texts

// expect-error: StorageLike: S needs 'try_pop'
namespace queue_over_what_gives_nothing {
struct Storage {
    using value_type = int;
    bool try_push(int&&) noexcept;
#ifdef BELAY_CONTROL
    std::optional<int> try_pop();
#endif
    std::size_t size() const noexcept;
    std::size_t capacity() const noexcept;
};

belay::Queue queue{Storage{}};
}  // namespace queue_over_what_gives_nothing

// expect-error: OverflowLike: O needs 'static constexpr bool drops'
namespace queue_whose_overflow_does_not_say {
struct Overflow {
#ifdef BELAY_CONTROL
    static constexpr bool drops = false;
#endif
    std::error_code make_space(auto&);
};

belay::Queue queue{belay::Deque<int>{}, Overflow{}};
}  // namespace queue_whose_overflow_does_not_say

// expect-error: CodecLike: C needs 'encode.const T&, Bytes& into. -> bool'
namespace encoded_by_a_wrong_codec {
struct Codec {
#ifdef BELAY_CONTROL
    bool encode(const int&, belay::Bytes& into);
#else
    void encode(const int&, belay::Bytes& into);
#endif
    std::optional<int> decode(belay::BytesView bytes);
};

belay::Encoded encoded{belay::Ring<belay::Bytes, 4>{}, Codec{}};
}  // namespace encoded_by_a_wrong_codec

// expect-error: Queue::drain: the executor must accept what front.. of the storage leases
namespace drain_of_other_values {
void use(belay::Queue<belay::Deque<int>>& queue) {
#ifdef BELAY_CONTROL
    static_cast<void>(queue.drain([](int) { return true; }));
#else
    static_cast<void>(queue.drain([](const std::string&) { return true; }));
#endif
}
}  // namespace drain_of_other_values

// expect-error: Queue: pass the overflow policy before the options, and a limit as an option
namespace queue_options_before_the_policy {
void use() {
#if defined(BELAY_CONTROL)
    belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, belay::QueueOptions{.limit = 3}};
#else
    belay::Queue queue{belay::Deque<int>{}, belay::QueueOptions{.limit = 3}, belay::Reject{}};
#endif
    queue.suspend();
}
}  // namespace queue_options_before_the_policy

// expect-error: Queue: pass the overflow policy before the options, and a limit as an option
namespace queue_limit_that_is_a_number {
void use() {
#if defined(BELAY_CONTROL)
    belay::Queue queue{belay::Deque<long>{}, belay::QueueOptions{.limit = 3}};
#else
    belay::Queue queue{belay::Deque<long>{}, 3};
#endif
    queue.suspend();
}
}  // namespace queue_limit_that_is_a_number
