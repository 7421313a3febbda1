// SPDX-License-Identifier: MIT
/// \file belay/link/requests.hpp
/// Requests: questions and answers over a supervised connection.
/// RequestsOptions, RequestsStatus: its options and its state, with a text for logs.
#pragma once

#include <concepts>      // std::same_as
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t, std::uint32_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::errc, std::make_error_code
#include <type_traits>   // std::is_base_of_v, std::remove_cvref_t, std::is_invocable_v
#include <utility>       // std::forward, std::move
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/expect_options.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/link/awaitable.hpp>
#include <belay/link/detail/link_user.hpp>
#include <belay/link/link_text.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/supervisor_core.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Requests.
struct RequestsOptions {
    /// Decides about a question that was sent, and has no answer when the connection ends.
    enum OnLoss : std::uint8_t {
        fail,       ///< it fails with Cause::lost
        send_again  ///< it is sent again on the next connection, within its deadline. Choose this
                    ///< only for a question that may be executed twice.
    };

    /// The maximum number of questions that are sent and not answered. With answers in order, a
    /// question counts until its answer arrives, also after its deadline. > 0.
    std::size_t in_flight_max = 256;
    /// The maximum number of questions that wait to be sent: there is no connection, the connection
    /// is busy, or `in_flight_max` is reached. 0: a question that cannot be sent at once is
    /// rejected. Together with `in_flight_max` at most 1,048,576.
    std::size_t waiting_max = 1024;
    /// The maximum number of times that a question is sent. > 0.
    unsigned sends_max = 3;
    /// The connection is ended as unhealthy when so many questions in a row got no answer in time,
    /// and no message arrived meanwhile; docs/how-to/requests.md specifies which count. 0: never;
    /// use a Heartbeat then.
    unsigned timeouts_max = 3;
    /// For questions that do not choose.
    OnLoss on_loss = fail;
    /// Those of the Supervisor.
    SupervisorOptions link{};

    /// Returns the rule that these options break, as a sentence; an empty text if they break none.
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        constexpr std::size_t questions_max = std::size_t{1} << 20U;
        if (in_flight_max == 0) return "RequestsOptions: in_flight_max must be > 0";
        if (in_flight_max > questions_max || waiting_max > questions_max - in_flight_max) {
            return "RequestsOptions: in_flight_max + waiting_max must be <= 1048576";
        }
        if (sends_max == 0) return "RequestsOptions: sends_max must be > 0";
        return {};
    }
};

/// The state of a Requests, as one consistent value.
struct RequestsStatus {
    /// That of the Supervisor.
    LinkStatus link{};
    std::uint64_t waiting = 0;     ///< questions that wait to be sent
    std::uint64_t in_flight = 0;   ///< questions that count towards in_flight_max
    std::uint64_t asked = 0;       ///< questions that were accepted
    std::uint64_t answered = 0;    ///< questions that were completed with an answer
    std::uint64_t timed_out = 0;   ///< questions whose deadline passed
    std::uint64_t lost = 0;        ///< questions that failed because of the connection
    std::uint64_t cancelled = 0;   ///< questions that cancel() or stop() ended
    std::uint64_t sent_again = 0;  ///< how often a question was sent on another connection
    std::uint64_t unmatched = 0;   ///< answers to no open question; see on_unmatched
};

namespace detail {
/// Returns the options; options that cannot be satisfied end the program at construction.
[[nodiscard]] inline const RequestsOptions& checked(const RequestsOptions& options) {
    expect_options(options.check(), {{"in_flight_max", std::uint64_t{options.in_flight_max}},
                                     {"waiting_max", std::uint64_t{options.waiting_max}},
                                     {"sends_max", std::uint64_t{options.sends_max}}});
    return options;
}

/// The numbers of a RequestsStatus, in logs and metrics.
inline constexpr Row<RequestsStatus> requests_gauges[] = {
    {"waiting", &RequestsStatus::waiting, "Questions that wait to be sent."},
    {"in_flight", &RequestsStatus::in_flight, "Questions that count towards the limit."}};
inline constexpr Row<RequestsStatus> requests_counters[] = {
    {"asked", &RequestsStatus::asked, "Questions that were accepted."},
    {"answered", &RequestsStatus::answered, "Questions that were completed with an answer."},
    {"timed_out", &RequestsStatus::timed_out, "Questions whose deadline passed."},
    {"lost", &RequestsStatus::lost, "Questions that failed because of the connection."},
    {"cancelled", &RequestsStatus::cancelled, "Questions that this side ended."},
    {"sent_again", &RequestsStatus::sent_again, "Questions sent on another connection."},
    {"unmatched", &RequestsStatus::unmatched, "Answers to no open question."}};
}  // namespace detail

/// Returns a status as pairs: those of its link, then "waiting=0 in_flight=1 asked=5 ...".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const RequestsStatus& status) {
    detail::Fields fields;
    detail::add_link(fields, status.link);
    return fields.add(status, detail::requests_gauges)
        .add(status, detail::requests_counters)
        .take();
}

namespace detail {

template <>
inline constexpr bool has_text<RequestsStatus> = true;

BELAY_DETAIL_HOOK(OnUnmatched, on_unmatched);

/// The hooks of a Requests S of messages M.
template <class S, class M>
struct RequestsHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Message = MessageHook<S, M>;
    using Unmatched = Hook<OnUnmatched, S, M>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Requests: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& requests' in front of that");
        static_assert(Message::template right<O>,
                      "Requests: the observer's on_message must be 'on_message(message_type)', or "
                      "have 'auto& requests' in front of that, a 'belay::Lane' after it, or both");
        static_assert(Unmatched::template right<O>,
                      "Requests: the observer's on_unmatched must be "
                      "'on_unmatched(message_type)', or have 'auto& requests' in front of that");
        static_assert(has_any_hook_of<O, State, Message, Unmatched>,
                      "Requests: the observer has no hook: it needs one of on_state, on_message, "
                      "on_unmatched. Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

}  // namespace detail

namespace part {

/// The codec of a Requests whose server answers each question, in order, without an id.
///
/// Each message of the peer is an answer. A codec of yours may derive from it and add
/// `bool is_answer(const message_type&)`, if the peer also sends other messages.
struct InOrder {};

}  // namespace part

namespace detail {

BELAY_DETAIL_MEMBER(put_id);
BELAY_DETAIL_MEMBER(id_of);
BELAY_DETAIL_MEMBER(is_answer);

template <class C, class M>
concept PutsQuestionId = requires(C& codec, M& message) { codec.put_id(message, std::uint64_t{}); };
template <class C, class M>
concept ReadsQuestionId = requires(C& codec, const M& message) {
    { codec.id_of(message) } -> std::same_as<std::optional<std::uint64_t>>;
};
template <class C, class M>
concept HasQuestionIds = PutsQuestionId<C, M> && ReadsQuestionId<C, M>;
template <class C, class M>
concept FindsAnswers = requires(C& codec, const M& message) {
    { codec.is_answer(message) } -> std::same_as<bool>;
};

/// Names everything that is wrong with a codec.
template <class C, class M>
consteval bool explain_question_codec() {
    constexpr bool has_any_id = has_put_id<C> || has_id_of<C>;
    static_assert(!has_any_id || PutsQuestionId<C, M>,
                  "Requests: a codec with id_of needs 'void put_id(message_type&, std::uint64_t "
                  "id)'; derive from part::InOrder if answers come in order");
    static_assert(!has_any_id || ReadsQuestionId<C, M>,
                  "Requests: a codec with put_id needs 'std::optional<std::uint64_t> id_of(const "
                  "message_type&)'; derive from part::InOrder if answers come in order");
    static_assert(has_any_id || std::is_base_of_v<part::InOrder, C>,
                  "Requests: the codec must have put_id and id_of, or be part::InOrder");
    static_assert(!has_is_answer<C> || FindsAnswers<C, M>,
                  "Requests: the codec's is_answer must be 'bool is_answer(const message_type&)'");
    static_assert(!has_any_id || !has_is_answer<C>,
                  "Requests: a codec with ids must not have is_answer; return std::nullopt from "
                  "id_of for a message that is no answer");
    return true;
}

template <class C, class M>
[[nodiscard]] bool is_answer(C& codec, const M& message) {
    if constexpr (FindsAnswers<C, M>) {
        return codec.is_answer(message);
    } else {
        return true;
    }
}

/// Returns a question as a message; a text becomes bytes.
template <class M, class V>
[[nodiscard]] M to_message(V&& question) {
    if constexpr (TextForBytes<std::remove_cvref_t<V>, M>) {
        return to_bytes(as_bytes(std::string_view{question}));
    } else {
        return M(std::forward<V>(question));
    }
}

/// One question. It is in at most one of the lists `waiting` and `sent`, and in the heap of
/// deadlines while it is open.
template <class M>
struct Question {
    using Done = Function<void(Result<M, Failure>)>;
    using Index = std::uint32_t;
    enum class List : std::uint8_t { none, waiting, sent };

    std::uint64_t id = 0;
    Instant deadline{};
    Index previous = 0;    // in its list
    Index next = 0;        // in its list, or in the list of unused questions
    Index next_ended = 0;  // in the list of those that have ended
    std::uint32_t heap_place = 0;
    unsigned sends = 0;
    List list = List::none;
    bool is_open = false;   // neither answered nor failed
    bool is_ended = false;  // failed, and `done` was not called yet
    bool sends_again = false;
    Failure failure{};
    std::optional<M> message{};  // until it is sent for the last time
    Done done{};
};

/// The questions of a Requests. It allocates only while the number of questions grows.
///
/// An id has the index of its question in the lowest bits, and the number of the question above
/// them. So an id of the past is not that of another question. Ids are below 2^53, which is the
/// range of the integers of JSON. After 2^33 - 1 questions, the numbers begin again.
///
/// Complexity: O(1), except deadlines: O(log n).   Thread safety: distinct objects safe.
template <class M>
class QuestionTable {
public:
    using Item = Question<M>;
    using Index = typename Item::Index;
    using ItemList = typename Item::List;
    static constexpr unsigned index_bits = 20;
    static constexpr Index none = ~Index{0};

    [[nodiscard]] static constexpr std::uint64_t number_after(std::uint64_t number) noexcept {
        constexpr std::uint64_t last = (std::uint64_t{1} << (53 - index_bits)) - 1;
        return number == last ? 1 : number + 1;
    }
    /// Returns the id of the next question.   Throws: std::bad_alloc; nothing has changed then.
    [[nodiscard]] std::uint64_t next_id() {
        if (unused_ == none) {
            if (items_.capacity() == items_.size()) {
                const std::size_t capacity = items_.size() == 0 ? 4 : 2 * items_.size();
                deadlines_.reserve(capacity);
                items_.reserve(capacity);
            }
            items_.emplace_back();
            items_.back().next = none;
            unused_ = static_cast<Index>(items_.size() - 1);
        }
        return (number_after(last_number_) << index_bits) | unused_;
    }
    /// Adds the question whose id next_id() has returned. It is in no list.
    Item& add(Instant deadline, bool sends_again, typename Item::Done&& done) noexcept {
        const Index index = unused_;
        Item& item = items_[index];
        unused_ = item.next;
        last_number_ = number_after(last_number_);
        item.id = (last_number_ << index_bits) | index;
        item.deadline = deadline;
        item.sends = 0;
        item.sends_again = sends_again;
        item.is_open = true;
        item.done = std::move(done);
        deadlines_.push(index, Order{items_});  // next_id() has reserved the space
        ++size_;
        return item;
    }

    /// Returns the open question with this id, or null.
    [[nodiscard]] Item* find(std::uint64_t id) noexcept {
        const std::uint64_t index = id & ((std::uint64_t{1} << index_bits) - 1);
        if (index >= items_.size()) return nullptr;
        Item& item = items_[static_cast<std::size_t>(index)];
        return item.is_open && item.id == id ? &item : nullptr;
    }
    [[nodiscard]] Item* first_waiting() noexcept { return at(waiting_.first); }
    [[nodiscard]] Item* first_sent() noexcept { return at(sent_.first); }
    [[nodiscard]] Item* first_due() noexcept {
        return deadlines_.empty() ? nullptr : &items_[deadlines_.front()];
    }
    [[nodiscard]] Instant deadline() const noexcept {
        return deadlines_.empty() ? never : items_[deadlines_.front()].deadline;
    }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size; }
    [[nodiscard]] std::size_t sent() const noexcept { return sent_.size; }
    [[nodiscard]] std::size_t ended() const noexcept { return ended_.size; }
    [[nodiscard]] std::size_t open() const noexcept { return deadlines_.size(); }
    /// Returns the number of questions that need space.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Moves a question to the back of a list.
    void append(Item& item, ItemList to) noexcept {
        unlink(item);
        List& list = list_of(to);
        const Index index = index_of(item);
        item.list = to;
        item.previous = list.last;
        item.next = none;
        (list.last == none ? list.first : items_[list.last].next) = index;
        list.last = index;
        ++list.size;
    }
    /// Removes all questions that were sent. Those that still have their message wait again, in
    /// their order, before the others. The others fail.   Returns: how many fail.
    std::size_t lose_sent(const Failure& failure) noexcept {
        for (Index i = sent_.last; i != none;) {
            Item& item = items_[i];
            i = item.previous;
            if (item.is_open && item.message) wait_first(item);
        }
        std::size_t failed = 0;
        while (sent_.first != none) {
            Item& item = items_[sent_.first];
            if (item.is_open) {
                end(item, failure);
                ++failed;
            }
            drop_place(item);
        }
        return failed;
    }
    /// All questions that wait fail.   Returns: how many.
    std::size_t lose_waiting(const Failure& failure) noexcept {
        const std::size_t failed = waiting_.size;
        while (waiting_.first != none) {
            Item& item = items_[waiting_.first];
            end(item, failure);
            drop_place(item);
        }
        return failed;
    }

    /// The question fails: take_ended() returns it later. It stays in its list.
    void end(Item& item, const Failure& failure) noexcept {
        close(item);
        item.message.reset();
        item.failure = failure;
        item.is_ended = true;
        item.next_ended = none;
        const Index index = index_of(item);
        (ended_.last == none ? ended_.first : items_[ended_.last].next_ended) = index;
        ended_.last = index;
        ++ended_.size;
    }
    /// An open question is done: removes it, and returns its function.
    [[nodiscard]] typename Item::Done complete(Item& item) noexcept {
        close(item);
        typename Item::Done done = std::move(item.done);
        drop_place(item);
        return done;
    }
    /// Removes a question from its list. Frees its space, unless `done` must still be called.
    void drop_place(Item& item) noexcept {
        unlink(item);
        if (item.is_open || item.is_ended) return;
        item.message.reset();
        item.next = unused_;
        unused_ = index_of(item);
        --size_;
    }

    struct Ended {
        typename Item::Done done;
        Failure failure;
    };
    /// Returns the first question that has failed.   Pre: ended() > 0.
    [[nodiscard]] Ended take_ended() noexcept {
        Item& item = items_[ended_.first];
        ended_.first = item.next_ended;
        if (ended_.first == none) ended_.last = none;
        --ended_.size;
        item.is_ended = false;
        Ended ended{std::move(item.done), item.failure};
        // With answers in order, its place stays until the answer arrives.
        if (item.list == ItemList::none) drop_place(item);
        return ended;
    }

private:
    struct List {
        Index first = none;
        Index last = none;
        std::size_t size = 0;
    };

    void wait_first(Item& item) noexcept {
        unlink(item);
        const Index index = index_of(item);
        item.list = ItemList::waiting;
        item.previous = none;
        item.next = waiting_.first;
        (waiting_.first == none ? waiting_.last : items_[waiting_.first].previous) = index;
        waiting_.first = index;
        ++waiting_.size;
    }
    void unlink(Item& item) noexcept {
        if (item.list == ItemList::none) return;
        List& list = list_of(item.list);
        (item.previous == none ? list.first : items_[item.previous].next) = item.next;
        (item.next == none ? list.last : items_[item.next].previous) = item.previous;
        item.list = ItemList::none;
        --list.size;
    }

    [[nodiscard]] Item* at(Index index) noexcept {
        return index == none ? nullptr : &items_[index];
    }
    [[nodiscard]] Index index_of(const Item& item) const noexcept {
        return static_cast<Index>(&item - items_.data());
    }
    [[nodiscard]] List& list_of(ItemList list) noexcept {
        return list == ItemList::waiting ? waiting_ : sent_;
    }
    struct Order {
        std::vector<Item>& items;
        bool before(Index a, Index b) const noexcept {
            return items[a].deadline < items[b].deadline;
        }
        std::uint32_t& place(Index index) const noexcept { return items[index].heap_place; }
    };
    /// Removes the deadline of an open question.
    void close(Item& item) noexcept {
        item.is_open = false;
        deadlines_.remove(index_of(item), Order{items_});
    }

    std::vector<Item> items_;
    IndexedHeap<Index> deadlines_;
    List waiting_;
    List sent_;
    List ended_;
    Index unused_ = none;
    std::uint64_t last_number_ = 0;
    std::size_t size_ = 0;
};

/// The question of a coroutine; see AnswerAwait.
template <class Requests>
struct AwaitedQuestion {
    using Answer = typename Requests::Answer;
    /// The coroutine is in the list until either is destroyed.
    struct Done {
        WaitList waiting;
        void operator()(Answer answer) {
            if (!waiting.empty()) waiting.resume_first(std::move(answer));  // may destroy this
        }
    };

    Requests& requests;
    typename Requests::message_type message;
    Duration within;
    RequestsOptions::OnLoss on_loss;
    std::uint64_t id = 0;

    void now(std::optional<Answer>&) const noexcept {}
    void ask(AnswerWaiter<Answer>& waiter) {
        Done done;
        done.waiting.add(waiter);
        const auto asked = requests.ask(std::move(message), within, std::move(done), on_loss);
        if (!asked) {
            waiter.answer.emplace(Answer::failure(Failure::from(asked.error())));
        } else {
            id = *asked;
        }
    }
    void cancel() const noexcept { requests.cancel(id); }
};

}  // namespace detail

/// Asks questions over a supervised connection, and gives each answer to its question.
///
/// Each accepted question is completed exactly once, with its answer or with a failure. It fails
/// when its deadline passes, when the connection ends, or when it is cancelled. The codec
/// determines how answers find their questions: part::InOrder{}, or a codec of yours that writes
/// and reads an id. Requests owns the supervisor of its connection.
///
///     Requests redis{transport, policy, part::InOrder{}, RequestsOptions{}};
///     auto asked = redis.ask(message, 2s, [](Result<Bytes, Failure> answer) { ... });
///     Result<Bytes, Failure> answer = co_await redis.ask(message, 2s);
///
/// `done` runs in a turn of the driver, never inside ask(). It may call every function, and may
/// destroy the Requests. An exception leaves that turn, and the question counts as completed. The
/// destructor calls no `done`, and resumes no coroutine.
///
/// The observer may have these hooks, each of which may leave out the machine:
/// - `on_state(auto& requests, const Transition&)`
/// - `on_message(auto& requests, message_type [, Lane])`: a message that is not an answer.
/// - `on_unmatched(auto& requests, message_type)`: an answer to no open question. It came after the
///   deadline, or twice, or its id is unknown. With answers in order, one for which there was never
///   a question ends the connection.
///
/// Hooks may call every function of the machine, and may destroy it. An exception from a hook
/// leaves the `advance` that ran it.
///
/// Models:        MachineLike.
/// Thread safety: home thread, as its supervisor; handle() for other threads.
/// Allocates:     while the number of open questions grows, and for a `done` above 48 bytes.
/// Source:        docs/how-to/requests.md.
template <class Transport, class Policy, class Codec, class Observer = NoObserver>
class Requests : private detail::LinkUser<Requests<Transport, Policy, Codec, Observer>,
                                          typename Transport::message_type, Observer> {
    using Base = detail::LinkUser<Requests, typename Transport::message_type, Observer>;
    friend Base;
    using Base::busy_, Base::deferred_, Base::drain_, Base::lifetime_, Base::now_, Base::observer_,
        Base::waker_;

    // Not constraints: the compiler's message for a failed constraint would hide these sentences.
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());
    static_assert(detail::explain_question_codec<Codec, typename Transport::message_type>());

public:
    using message_type = typename Transport::message_type;
    /// The answer to a question, or why there is none.
    using Answer = Result<message_type, Failure>;
    /// Commands from other threads.
    using Handle = detail::LinkCommands<message_type>;
    /// The fate of open questions when the connection is lost.
    using OnLoss = RequestsOptions::OnLoss;

    /// Opens nothing: attach it to a driver, then call start().
    ///
    /// Pre: options.check() is empty.
    Requests(Transport transport, Policy policy, Codec codec, RequestsOptions options = {},
             Observer observer = {})
        : Base{std::move(observer)},
          options_{detail::checked(options)},
          codec_{std::move(codec)},
          link_{std::move(transport), std::move(policy), options_.link, typename Base::Tap{this}} {
        static_assert(detail::explain_observer<Hooks, Observer>());
    }
    /// With the usual options.
    template <detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, RequestsOptions>)
    Requests(Transport transport, Policy policy, Codec codec, O&& observer)
        : Requests{std::move(transport), std::move(policy), std::move(codec), RequestsOptions{},
                   std::forward<O>(observer)} {}

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) { this->attach_link(std::move(waker)); }

    [[nodiscard]] Instant deadline() const noexcept {
        if (table_.ended() != 0 || !deferred_.empty() || can_send_next() || is_drained()) {
            return always;
        }
        return detail::smaller(detail::smaller(link_.deadline(), drain_.ends()), due());
    }

    /// Runs one turn: the connection's events with their answers, then deadlines and failures, then
    /// questions to send. If the driver is late, deadlines wait for the answers that have arrived.
    void advance(Instant now) {
        const driver::TurnGuard guard{lifetime_};
        is_down_ = false;
        const std::uint64_t heard_before = link_.data_count();
        if (!this->advance_link(now, guard)) return;
        const bool has_more = may_have_more(link_.data_count() != heard_before);
        if (!has_more) expire();
        if (!finish_ended(guard)) return;
        while (!has_more && can_send_next()) send_next();
        const bool over = is_drained() || (now_ >= drain_.ends() && !has_more);
        if (!over) return;
        drain_.end();
        stop();  // last: the observer may destroy this object
    }

    // ---- questions -----------------------------------------------------------------------------

    /// Asks a question, and calls `done(Result<message_type, Failure>)` once, in a later turn.
    ///
    /// The question is sent at once if the connection is open, and else when it is, within its
    /// deadline. `within` counts from this call. The result has a number for cancel(). If `done`
    /// throws, the question counts as completed.
    /// Errors: not_connected before start(), and after the link has stopped, failed or is blocked;
    ///         LinkErrc::requests_full; LinkErrc::message_rejected; std::errc::timed_out if
    ///         `within` is 0ns or less; operation_canceled during drain(). `done` is then not
    ///         called.
    /// Throws: std::bad_alloc, and what the codec throws; the question is then not accepted.
    template <class V, class Done>
        requires(!std::same_as<std::remove_cvref_t<Done>, OnLoss>)
    [[nodiscard]] Result<std::uint64_t> ask(V&& message, Duration within, Done&& done) {
        return ask(std::forward<V>(message), within, std::forward<Done>(done), options_.on_loss);
    }
    /// The same, with its own `on_loss` instead of that of the options.
    template <class V, class Done>
    [[nodiscard]] Result<std::uint64_t> ask(V&& message, Duration within, Done&& done,
                                            OnLoss on_loss) {
        static_assert(std::is_invocable_v<std::remove_cvref_t<Done>&, Answer>,
                      "Requests::ask: done must be callable with "
                      "'belay::Result<message_type, belay::Failure>'");
        const Instant now = lifetime_.in_turn() ? now_ : this->time();
        if (const std::error_code error = why_rejected(now, within)) return error;
        const bool sends_again = on_loss == RequestsOptions::send_again;
        return accept(detail::to_message<message_type>(std::forward<V>(message)),
                      after(now, within), std::forward<Done>(done), sends_again);
    }
    /// Asks a question in a coroutine of any kind: `co_await requests.ask(message, 2s)`.
    ///
    /// The result is as for `done`; if the question was rejected, it is that failure, at once. A
    /// coroutine that is destroyed while it waits cancels its question. It is resumed inside a
    /// turn, where it may call everything.
    template <class V>
    [[nodiscard]] auto ask(V&& message, Duration within) {
        return ask(std::forward<V>(message), within, options_.on_loss);
    }
    /// The same, with its own `on_loss` instead of that of the options.
    template <class V>
    [[nodiscard]] auto ask(V&& message, Duration within, OnLoss on_loss) {
        using Question = detail::AwaitedQuestion<Requests>;
        return detail::AnswerAwait<Answer, Question>{
            {*this, detail::to_message<message_type>(std::forward<V>(message)), within, on_loss}};
    }

    /// Cancels a question: its `done` is called in the next turn, with
    /// std::errc::operation_canceled. The server may execute the question all the same. Until its
    /// next message, it keeps its time for the answer; see RequestsOptions::timeouts_max.
    /// Returns: false if the question is completed already.
    bool cancel(std::uint64_t question) noexcept {
        Item* const item = table_.find(question);
        if (item == nullptr) return false;
        // The server has its time all the same: else callers that give up early hide a frozen one.
        if (item->list == List::sent) {
            given_up_until_ = detail::smaller(given_up_until_, item->deadline);
        } else if (is_held_up(*item)) {
            unsent_until_ = detail::smaller(unsent_until_, item->deadline);
        }
        end(*item, failure_of(std::errc::operation_canceled));
        ++counts_.cancelled;
        waker_.touch();
        return true;
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Connects, and reconnects after each outage.
    void start() { link_.start(); }
    /// Disconnects; see Supervisor::stop. Open questions fail with std::errc::operation_canceled.
    void stop() { link_.stop(); }
    /// Accepts no more questions, and stops when all are completed, or after `within`.
    ///
    /// If drain() is called several times, the earliest end counts. A time below 0ns counts as 0ns.
    void drain(Duration within) { this->begin_drain(within); }
    /// Shuts a gate; see Supervisor::shut.
    void shut(Gate gate, Duration grace = {}) { link_.shut(gate, grace); }
    /// Opens a gate; see Supervisor::open.
    void open(Gate gate) { link_.open(gate); }
    /// Hands new credentials to the transport; see Supervisor::credentials.
    template <class... A>
    void credentials(A&&... values) {
        link_.credentials(std::forward<A>(values)...);
    }
    /// Connects now; see Supervisor::reconnect_now.
    Reconnect reconnect_now(bool force = false) { return link_.reconnect_now(force); }
    /// Ends the connection on outside evidence.
    void report_unhealthy(Failure failure = {}) noexcept { link_.report_unhealthy(failure); }
    /// Sends a message that has no answer; see Supervisor::send. With answers in order, the server
    /// must not answer it.
    [[nodiscard]] SendResult send(const message_type& message, Lane lane = 0) noexcept {
        return link_.send(message, lane);
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the state of the connection and the counters, as one consistent value.
    [[nodiscard]] RequestsStatus status() const {
        RequestsStatus status = counts_;
        status.link = link_.status();
        status.waiting = table_.waiting();
        status.in_flight = table_.sent();
        return status;
    }
    /// Returns the commands that other threads may give. Ask on the home thread only.
    [[nodiscard]] Handle handle() const { return link_.handle(); }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    /// Returns the codec that writes and reads the messages.
    [[nodiscard]] Codec& codec() noexcept { return codec_; }
    [[nodiscard]] Instant now() const noexcept { return now_; }

private:
    using Hooks = detail::RequestsHooks<Requests, message_type>;
    using Table = detail::QuestionTable<message_type>;
    using Item = typename Table::Item;
    using List = typename Item::List;
    static constexpr bool has_ids = detail::HasQuestionIds<Codec, message_type>;

    using Link = Supervisor<Transport, Policy, typename Base::Tap>;

    [[nodiscard]] static Failure failure_of(std::errc error) noexcept {
        return Failure::from(std::make_error_code(error));
    }

    // ---- accepting -----------------------------------------------------------------------------

    [[nodiscard]] std::error_code why_rejected(Instant now, Duration within) const noexcept {
        if (drain_.runs()) return std::make_error_code(std::errc::operation_canceled);
        // A command that waits may be start().
        const bool never_leads_on =
            detail::rests(link_.status().state) && link_.deadline() != always;
        // Without a driver there is no time from which a deadline could count.
        if (never_leads_on || now == always) return std::make_error_code(std::errc::not_connected);
        if (within <= Duration::zero()) return std::make_error_code(std::errc::timed_out);
        const bool has_space = table_.size() < options_.in_flight_max + options_.waiting_max;
        if (!has_space) return LinkErrc::requests_full;
        const bool must_wait = !can_send() || table_.waiting() != 0;
        if (!must_wait || table_.waiting() < options_.waiting_max) return {};
        if (link_.status().state == LinkState::connected) return LinkErrc::requests_full;
        return std::make_error_code(std::errc::not_connected);
    }

    Result<std::uint64_t> accept(message_type message, Instant deadline, typename Item::Done done,
                                 bool sends_again) {
        const std::uint64_t id = table_.next_id();
        if constexpr (has_ids) codec_.put_id(message, id);
        SendResult sent = SendResult::down;
        if (can_send() && table_.waiting() == 0) {
            sent = link_.send(message);
            if (sent == SendResult::rejected) return LinkErrc::message_rejected;
            busy_ = sent == SendResult::busy;
            if (sent != SendResult::sent && options_.waiting_max == 0) {
                if (busy_) return LinkErrc::requests_full;
                return std::make_error_code(std::errc::not_connected);
            }
        }
        Item& item = table_.add(deadline, sends_again, std::move(done));
        last_id_ = id;
        ++counts_.asked;
        item.message.emplace(std::move(message));
        if (sent == SendResult::sent) {
            was_sent(item);
        } else {
            table_.append(item, List::waiting);
        }
        waker_.touch();
        return id;
    }

    // ---- sending -------------------------------------------------------------------------------

    [[nodiscard]] bool can_send() const noexcept {
        return link_.status().state == LinkState::connected && !busy_ && !is_down_ &&
               !is_out_of_order_ && table_.sent() < options_.in_flight_max;
    }
    [[nodiscard]] bool can_send_next() const noexcept {
        return table_.waiting() != 0 && can_send();
    }
    void send_next() noexcept {
        Item& item = *table_.first_waiting();
        switch (link_.send(*item.message)) {
            case SendResult::sent:
                return was_sent(item);
            case SendResult::busy:
                busy_ = true;
                return;
            case SendResult::down:
                is_down_ = true;
                return;
            case SendResult::rejected:
                ++counts_.lost;
                return end(item, belay::failure_of(LinkErrc::message_rejected));
        }
    }
    void was_sent(Item& item) noexcept {
        if (item.sends != 0) ++counts_.sent_again;
        ++item.sends;
        if (!item.sends_again || item.sends == options_.sends_max) item.message.reset();
        table_.append(item, List::sent);
    }

    // ---- completing ----------------------------------------------------------------------------

    void on_message(message_type&& message, Lane lane) {
        if (!is_full_of_failed()) heard();
        if constexpr (has_ids) {
            if (lane == 0) {
                const std::optional<std::uint64_t> id = codec_.id_of(std::as_const(message));
                if (id) return on_answer(table_.find(*id), std::move(message));
            }
        } else if (lane == 0) {
            // If it throws, this message may have been an answer.
            // Without an order, the next answer might be given to a wrong question.
            detail::ScopeExit guard{[this] { lose_order(); }};
            const bool is_answer = detail::is_answer(codec_, std::as_const(message));
            guard.release();
            if (is_answer) {
                return on_answer(is_out_of_order_ ? nullptr : table_.first_sent(),
                                 std::move(message));
            }
        }
        detail::notify<typename Hooks::Message>(observer_, *this, Lane{lane}, std::move(message));
    }
    void lose_order() noexcept {
        is_out_of_order_ = true;
        link_.report_unhealthy(failure_of(std::errc::protocol_error));
    }
    void on_answer(Item* item, message_type&& message) {
        heard();
        // A question that still waits was not sent on this connection.
        if (item == nullptr || !item->is_open || item->list != List::sent) {
            ++counts_.unmatched;
            if (!has_ids && item == nullptr) {
                if (!is_out_of_order_) lose_order();
            } else if (item != nullptr && item->list == List::sent) {
                // With answers in order: the question has failed, and this was its place.
                table_.drop_place(*item);
            }
            return detail::notify<typename Hooks::Unmatched>(observer_, *this, std::move(message));
        }
        ++counts_.answered;
        // Freed before the call, which may throw, ask again, or destroy this object.
        typename Item::Done done = table_.complete(*item);
        done(Answer{std::move(message)});
    }

    /// A question fails. With answers in order, it keeps its place among those that were sent.
    void end(Item& item, const Failure& failure) noexcept {
        table_.end(item, failure);
        if (has_ids || item.list != List::sent) table_.drop_place(item);
    }

    /// The server is alive.
    void heard() noexcept {
        timeouts_ = 0;
        given_up_until_ = unsent_until_ = never;
    }
    /// Whether every question that counts towards `in_flight_max` has failed. With answers in
    /// order, nothing can be sent then until a late answer comes.
    [[nodiscard]] bool is_full_of_failed() const noexcept {
        return table_.sent() >= options_.in_flight_max && table_.open() == table_.waiting();
    }
    /// Whether a question that waits is not sent because the server is silent: no question that was
    /// sent has time left. One that was asked before the silence began waited for other reasons,
    /// too: a queue whose deadlines pass together must not end a server that is only slow.
    [[nodiscard]] bool is_held_up(const Item& item) const noexcept {
        return timeouts_ != 0 && item.id > silent_from_ && table_.open() == table_.waiting() &&
               given_up_until_ == never && !can_send();
    }
    /// Returns whether the connection is to be given up: not once only, because a decorator may
    /// hold its end back.
    bool count_timeout() noexcept {
        if (timeouts_ == 0) silent_from_ = last_id_;
        ++timeouts_;
        return options_.timeouts_max != 0 && timeouts_ % options_.timeouts_max == 0;
    }
    [[nodiscard]] Instant due() const noexcept {
        return detail::smaller(table_.deadline(), detail::smaller(given_up_until_, unsent_until_));
    }
    /// Returns whether answers that arrived in time may still wait. A turn takes a part of them,
    /// and a transport may read one message before each turn. Other messages must not keep
    /// questions open for ever, so there is a limit: each message that waited has had its turn.
    [[nodiscard]] bool may_have_more(bool has_heard) noexcept {
        const bool is_due = detail::smaller(due(), drain_.ends()) <= now_;
        const bool has_more = is_due && (has_heard || link_.deadline() == always) &&
                              late_turns_ < options_.link.messages_max;
        late_turns_ = has_more ? late_turns_ + 1 : 0;
        return has_more;
    }
    void expire() noexcept {
        bool gives_up = false;
        for (Instant* const until : {&given_up_until_, &unsent_until_}) {
            if (now_ < *until) continue;
            *until = never;
            if (count_timeout()) gives_up = true;
        }
        while (table_.deadline() <= now_) {
            Item& item = *table_.first_due();
            const bool is_timeout = item.list == List::sent || is_held_up(item);
            ++counts_.timed_out;
            // A question to send again may have reached the server before.
            const bool was_ever_sent = item.sends != 0;
            end(item, belay::failure_of(was_ever_sent ? LinkErrc::unanswered : LinkErrc::unsent));
            if (is_timeout && count_timeout()) gives_up = true;
        }
        if (gives_up) link_.report_unhealthy(belay::failure_of(LinkErrc::unanswered));
    }

    /// Returns: false if this object was destroyed.
    bool finish_ended(const driver::TurnGuard& guard) {
        // Not those that fail meanwhile: a `done` that asks and cancels must not hold up the turn.
        for (std::size_t left = table_.ended(); left != 0 && table_.ended() != 0; --left) {
            auto ended = table_.take_ended();
            {
                const auto notifying = this->mark_notifying(guard);
                ended.done(Answer::failure(ended.failure));
            }
            if (!this->notify_deferred(guard)) return false;
        }
        return true;
    }
    void on_state(const Transition& change) {
        const LinkState to = change.to.state;
        busy_ = false;
        is_down_ = false;
        is_out_of_order_ = false;
        heard();
        if (to == LinkState::stopped) {
            const Failure stopped = failure_of(std::errc::operation_canceled);
            counts_.cancelled += table_.lose_sent(stopped);
            counts_.cancelled += table_.lose_waiting(stopped);
        } else if (to != LinkState::connected) {
            Failure lost = change.to.failure;
            lost.cause = Cause::lost;
            counts_.lost += table_.lose_sent(lost);
            if (detail::rests(to)) counts_.lost += table_.lose_waiting(change.to.failure);
        }
        this->notify_state(change);
    }

    [[nodiscard]] bool is_drained() const noexcept {
        return drain_.runs() && table_.open() == 0 && table_.ended() == 0;
    }

    const RequestsOptions options_;
    [[no_unique_address]] Codec codec_;
    Table table_;
    RequestsStatus counts_{};         // only the counters
    bool is_down_ = false;            // send() has returned `down` since the last turn began
    bool is_out_of_order_ = false;    // the connection is about to end
    std::size_t late_turns_ = 0;      // in a row that kept deadlines waiting
    unsigned timeouts_ = 0;           // questions in a row without any message
    std::uint64_t last_id_ = 0;       // of the newest question
    std::uint64_t silent_from_ = 0;   // the newest question when the first of them ended
    Instant given_up_until_ = never;  // the deadline of one that was cancelled since,
    Instant unsent_until_ = never;    // and of one that the silence kept from being sent
    Link link_;
};

template <class Transport, class Policy, class Codec, class Observer>
    requires(!std::convertible_to<Observer, RequestsOptions>)
Requests(Transport, Policy, Codec, Observer) -> Requests<Transport, Policy, Codec, Observer>;

}}  // namespace belay
