// SPDX-License-Identifier: MIT
/// \file belay/sync/replica_server.hpp
/// ReplicaServer: answers the questions of devices that sync over a network.
#pragma once

#include <algorithm>     // std::min
#include <concepts>      // std::predicate, std::same_as
#include <cstdint>       // std::uint32_t
#include <map>           // std::map
#include <span>          // std::span
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_reference_t
#include <utility>       // std::declval, std::move
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/sync/detail/sync_message_codec.hpp>
#include <belay/sync/sync_server_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The number of elements to ask a store for, so that an answer with them has at most some length.
/// It is kept from answer to answer: a store reads each value that it is asked for, also those that
/// do not fit.
class PageSize {
public:
    [[nodiscard]] std::size_t elements(std::size_t most) noexcept {
        return elements_ = std::min(most, elements_);
    }
    /// Notes the length of an answer with `count` elements.
    ///
    /// Returns: whether it is longer than `enough`, and an answer with fewer may not be.
    [[nodiscard]] bool shrinks(std::size_t count, std::size_t bytes, std::size_t enough) noexcept {
        // A store without a list of changes ignores the number, and returns everything.
        const bool is_long = bytes > enough && count > 1 && count <= elements_;
        if (is_long) elements_ = count / 2;
        const bool grows = bytes <= enough / 2 && count == elements_;
        if (grows && elements_ <= no_limit / 2) elements_ *= 2;
        return is_long;
    }

private:
    std::size_t elements_ = no_limit;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace part {

/// The limits of a ReplicaServer.
struct ReplicaServerOptions {
    /// The maximum number of elements in an answer with changes.
    std::size_t page_elements = 1000;
    /// The server adds nothing to an answer of this length. An answer is longer only by what one
    /// element, or one operation, adds to it. If the store has no `replaced`, 64 operations may add
    /// to it.
    std::size_t answer_bytes = std::size_t{512} << 10U;
    /// The longest answer that the transport carries; LengthPrefixed carries 16 MiB. An element
    /// that alone is longer is unreadable on each device, with QueueErrc::too_large. A replaced
    /// version that is too long is left out. If the answer is too long all the same, because the
    /// store has no list of changes, it is the error too_large.
    std::size_t message_bytes_max = std::size_t{16} << 20U;
};

/// Answers the questions of devices that have a Replica and a RemoteSyncServer.
///
///     part::ReplicaServer server{processor, NoteCodec{}};
///     auto answer = server.answer(question);         // of a connection, or the body of a POST
///     static_cast<void>(link.send(answer.bytes));
///
/// It is independent of the transport: a question and an answer are bytes, over a link or as the
/// bodies of a request and response of HTTP. Questions of several devices may come in any order,
/// and twice.
///
/// Thread safety: as its processor.   Allocates: yes.
template <detail::ProcessesBatches Processor, CodecLike Codec>
class ReplicaServer {
public:
    using operation_type = typename Processor::operation_type;
    using value_type = typename operation_type::value_type;
    static_assert(std::same_as<value_type, detail::DecodedBy<Codec>>,
                  "ReplicaServer: the codec must be one of the processor's values");
    static_assert(std::same_as<operation_type, Operation<value_type>>,
                  "ReplicaServer: the processor's operations must be belay::Operation");

    struct Answer {
        /// The answer, to be sent to the device that asked.
        Bytes bytes{};
        /// Whether operations were applied, so that other devices have something to receive; send
        /// them SyncMessages::notice(). It is also true for operations that were sent again.
        bool changed = false;
    };

    /// Pre: the limits of `options` are > 0.
    ReplicaServer(Processor& processor, Codec codec, ReplicaServerOptions options = {})
        : processor_{&processor}, messages_{std::move(codec)}, options_{options} {
        BELAY_OPTION(
            options.page_elements > 0 && options.answer_bytes > 0 && options.message_bytes_max > 0,
            "ReplicaServerOptions: the limits must be > 0");
    }

    /// Answers a question about any session.
    ///
    /// Errors:     in the answer. bad_operation: the bytes are no question. An operation whose
    ///             value the codec cannot decode fails alone, with bad_operation. A value of the
    ///             store that the codec rejects fails alone, with store_corrupt.
    /// Throws:     what the processor and the codec throw. The device asks again later.
    /// Complexity: linear in the question and the answer.
    [[nodiscard]] Answer answer(BytesView question) {
        return answer(question, [](std::string_view) { return true; });
    }
    /// Answers a question about a session for which `allows(session)` is true, for example one of
    /// the user of this connection. For other sessions the error is unknown_session.
    template <std::predicate<std::string_view> Allows>
    [[nodiscard]] Answer answer(BytesView question, Allows&& allows) {
        auto asked = messages_.read_question(question);
        if (!asked) return {Messages::reject(question, SyncErrc::bad_operation), false};
        if (!allows(std::string_view{asked->session})) {
            return {Messages::reject(question, SyncErrc::unknown_session), false};
        }
        const bool is_batch = asked->kind == detail::SyncMessageKind::sends_batch;
        return is_batch ? apply(*asked) : Answer{list(*asked), false};
    }

private:
    using Messages = detail::SyncMessageCodec<Codec>;
    using Question = typename Messages::Question;
    using Outcomes = typename Messages::Outcomes;
    static constexpr std::size_t operations_at_once = 64;
    static constexpr bool lists_replaced_again =
        detail::HasReplaced<std::remove_reference_t<decltype(std::declval<Processor&>().store())>>;

    [[nodiscard]] Bytes list(const Question& asked) {
        const auto reject = [&](const std::error_code& error) {
            return Messages::answer_error(detail::SyncMessageKind::page, asked.id, error);
        };
        const std::size_t enough = std::min(options_.answer_bytes, options_.message_bytes_max);
        for (;;) {
            const std::size_t most = size_.elements(options_.page_elements);
            detail::ProcessorServer<Processor> store{*processor_, asked.session, most};
            auto page = store.changes(asked.since);
            if (!page) return reject(page.error());
            Bytes bytes = messages_.answer_page(asked.id, *page);
            if (size_.shrinks(page->changes.size(), bytes.size(), enough)) continue;
            if (bytes.size() <= enough) return bytes;
            if (bytes.size() > options_.message_bytes_max && page->changes.size() == 1) {
                page->changes.front().error = make_error_code(QueueErrc::too_large);
                bytes = messages_.answer_page(asked.id, *page);
            }
            const bool fits = bytes.size() <= options_.message_bytes_max;
            return fits ? bytes : reject(make_error_code(QueueErrc::too_large));
        }
    }

    /// Applies operations until the answer is long enough; the device sends the others again.
    [[nodiscard]] Answer apply(Question& asked) {
        const std::size_t enough = std::min(options_.answer_bytes, options_.message_bytes_max);
        Outcomes all;
        Answer made;
        if (asked.batch.empty()) {
            made.bytes = Messages::answer_error(detail::SyncMessageKind::result, asked.id,
                                                SyncErrc::bad_operation);
            return made;
        }
        std::vector<operation_type> some;
        std::vector<std::uint32_t> indices;
        bool ends = false;
        while (!ends && all.decided < asked.batch.size()) {
            some.clear();
            indices.clear();
            while (all.decided < asked.batch.size() && some.size() < operations_at_once) {
                auto& one = asked.batch[all.decided];
                if (one) {
                    some.push_back(std::move(*one));
                    indices.push_back(all.decided);
                } else {
                    all.failed.push_back({all.decided, {{}, SyncErrc::bad_operation}});
                }
                ++all.decided;
            }
            ends = note(processor_->process_batch(asked.session, some), some, indices, all,
                        made.changed);
            made.bytes = messages_.answer_outcomes(asked.id, all, no_limit);
            // The replaced values may be long, and a transport has a limit. This store has them
            // still when the device sends the others again.
            while (lists_replaced_again && made.bytes.size() > enough && all.decided > 1) {
                all.keep_front(all.decided / 2);
                made.bytes = messages_.answer_outcomes(asked.id, all, no_limit);
                ends = true;
            }
            ends = ends || made.bytes.size() >= enough;
        }
        if (made.bytes.size() > options_.message_bytes_max) {
            made.bytes = messages_.answer_outcomes(asked.id, all, options_.message_bytes_max);
        }
        return made;
    }
    /// Returns: whether later operations must not be applied now, because they may be of an element
    /// whose earlier operation waits.
    [[nodiscard]] static bool note(SyncResult<operation_type>&& result,
                                   std::span<const operation_type> batch,
                                   std::span<const std::uint32_t> indices, Outcomes& all,
                                   bool& changed) {
        std::map<Id, std::uint32_t> index_of;
        for (std::size_t i = 0; i < batch.size(); ++i) index_of.emplace(batch[i].id, indices[i]);
        bool waits = false;
        for (auto& one : result.failed_operations) {
            waits = waits || one.retryable;
            all.failed.push_back({index_of[one.operation.id], std::move(one)});
        }
        for (auto& one : result.conflicts) {
            all.conflicts.push_back({index_of[one.operation.id], std::move(one)});
        }
        for (auto& one : result.overwrote) {
            all.overwrote.push_back({index_of[one.operation.id], std::move(one)});
        }
        changed = changed || result.synced_count != 0;
        return waits;
    }

    Processor* processor_;
    Messages messages_;
    ReplicaServerOptions options_;
    detail::PageSize size_{};
};

}}}  // namespace belay::part
