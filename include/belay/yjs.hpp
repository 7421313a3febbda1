// SPDX-License-Identifier: MIT
/// \file belay/yjs.hpp
/// Includes the component yjs: the bytes of Yjs updates, and documents of them, without a CRDT.
#pragma once

#include <belay/yjs/lib0.hpp>
#include <belay/yjs/yjs_document.hpp>
#include <belay/yjs/yjs_error.hpp>
#include <belay/yjs/yjs_limits.hpp>
#include <belay/yjs/yjs_update.hpp>
