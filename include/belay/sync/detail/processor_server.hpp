// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/processor_server.hpp
/// ProcessorServer: a SyncProcessor in the same process as the server of a Replica.
#pragma once

#include <span>          // std::span
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_convertible_v, std::is_void_v, std::remove_cvref_t

#include <belay/sync/changes.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_result.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class P>
concept ProcessesBatches = requires(P& processor, std::string_view session,
                                    std::span<const typename P::operation_type> batch) {
    processor.process_batch(session, batch);
    processor.store();
};

/// Calls `visit(id, value, stamp)` for each live element of a store.
template <class Store, class Visit>
[[nodiscard]] std::error_code visit_all(Store& store, std::string_view session, Visit&& visit) {
    if constexpr (std::is_void_v<decltype(store.for_each(session, visit))>) {
        store.for_each(session, visit);
        return {};
    } else {
        return store.for_each(session, visit);
    }
}
template <class R>
concept VoidOrError = std::is_void_v<R> || std::is_convertible_v<R, std::error_code>;
template <class Store>
concept HasForEach = requires(Store& store, std::string_view session) {
    {
        store.for_each(session, [](std::string_view, const ValueOfStore<Store>&, const Stamp&) {})
    } -> VoidOrError;
};

/// Models part::SyncServerLike. A store without changes_since gives copies of everything.
template <ProcessesBatches Processor>
class ProcessorServer {
public:
    using operation_type = typename Processor::operation_type;
    using value_type = typename operation_type::value_type;

    ProcessorServer(Processor& processor, std::string_view session, std::size_t most) noexcept
        : processor_{processor}, session_{session}, most_{most} {}

    [[nodiscard]] Result<SyncResult<operation_type>> send(std::span<const operation_type> batch) {
        return processor_.process_batch(session_, batch);
    }
    [[nodiscard]] Result<part::ChangesPage<value_type>> changes(const part::StoreCursor& since) {
        auto& store = processor_.store();
        using Store = std::remove_cvref_t<decltype(store)>;
        if constexpr (HasChangesSince<Store>) {
            return store.changes_since(session_, since, most_);
        } else {
            static_assert(HasForEach<Store>,
                          "Replica: the store of the SyncProcessor needs changes_since or "
                          "for_each(session, visit); see docs/explanation/replica.md");
            part::ChangesPage<value_type> page;
            page.begins_copy = true;
            const std::error_code error =
                visit_all(store, session_,
                          [&](std::string_view id, const value_type& value, const Stamp& stamp) {
                              page.changes.push_back({std::string{id}, stamp, value});
                          });
            if (error) return error;
            return page;
        }
    }

private:
    Processor& processor_;
    std::string_view session_;
    std::size_t most_;
};

}}}  // namespace belay::detail
