// SPDX-License-Identifier: MIT
/// \file belay/link/detail/token_source_like.hpp
/// The requirements on a source of credentials: a `token_type`, and a call with a Completion of it.
#pragma once

#include <utility>  // std::move

#include <belay/core/completion.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class Source>
concept HasTokenType = requires { typename Source::token_type; };
template <class Source>
concept AnswersTokens =
    HasTokenType<Source> &&
    requires(Source& source, Completion<typename Source::token_type> completion) {
        { source(std::move(completion)) } -> std::same_as<void>;
    };

}}}  // namespace belay::detail
