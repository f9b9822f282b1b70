/*
 * The few calls of Windows that memory_pool_manager.h and programs written for it use, implemented with pthreads and
 * Millpond's pages. For systems without windows.h; it contains nothing else of Windows, and only the necessary parts
 * of these calls.
 */
#ifndef MILLPOND_POSIX_WINDOWS_H
#define MILLPOND_POSIX_WINDOWS_H

/* In C without extensions, the calls of POSIX must be enabled before any other header is included. */
#if !defined(_XOPEN_SOURCE) && !defined(_GNU_SOURCE)
#define _XOPEN_SOURCE 700
#endif

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "millpond.h"

typedef size_t SIZE_T;
typedef uint32_t DWORD;
typedef int BOOL;
typedef void *LPVOID;
typedef void *HANDLE;

#define WINAPI
#define TRUE 1
#define FALSE 0
#define INFINITE 0xFFFFFFFFu
#define WAIT_OBJECT_0 0u
#define WAIT_FAILED 0xFFFFFFFFu
#define MEM_COMMIT 0x1000u
#define MEM_RESERVE 0x2000u
#define MEM_RELEASE 0x8000u
#define PAGE_READWRITE 0x04u

typedef DWORD (*LPTHREAD_START_ROUTINE)(LPVOID);

static inline DWORD GetLastError(void)
{
    return (DWORD)errno;
}

/* ---- Pages ---------------------------------------------------------------------------------------------------------- */

/* Allocates zeroed pages at any address, reserved and committed at once. A page in front stores their number. */
static inline LPVOID VirtualAlloc(LPVOID address, SIZE_T size, DWORD type, DWORD protect)
{
    const SIZE_T page = mp_page_size();
    char *front = NULL;
    if (address == NULL && size != 0 && size < SIZE_MAX / 2 && type == (MEM_RESERVE | MEM_COMMIT) &&
        protect == PAGE_READWRITE)
        front = (char *)mp_alloc(mp_pages(), page + size, page, MP_ZERO);
    if (front == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    memcpy(front, &size, sizeof size);
    return front + page;
}

/* Releases all pages that were allocated together. */
static inline BOOL VirtualFree(LPVOID address, SIZE_T size, DWORD type)
{
    const SIZE_T page = mp_page_size();
    char *front;
    if (address == NULL || size != 0 || type != MEM_RELEASE) {
        errno = EINVAL;
        return FALSE;
    }
    front = (char *)address - page;
    memcpy(&size, front, sizeof size);
    mp_free(mp_pages(), front, page + size, page);
    return TRUE;
}

/* ---- Locks ---------------------------------------------------------------------------------------------------------- */

typedef pthread_mutex_t CRITICAL_SECTION;

static inline void InitializeCriticalSection(CRITICAL_SECTION *section)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(section, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static inline void EnterCriticalSection(CRITICAL_SECTION *section)
{
    pthread_mutex_lock(section);
}

static inline void LeaveCriticalSection(CRITICAL_SECTION *section)
{
    pthread_mutex_unlock(section);
}

static inline void DeleteCriticalSection(CRITICAL_SECTION *section)
{
    pthread_mutex_destroy(section);
}

/* ---- Threads -------------------------------------------------------------------------------------------------------- */

/* The target of a handle. */
struct mp_windows_thread {
    pthread_t thread;
    BOOL is_joined;
};

/* The function of a new thread and its argument; freed by that thread. */
struct mp_windows_start {
    LPTHREAD_START_ROUTINE routine;
    LPVOID argument;
};

static inline void *mp_windows_run(void *argument)
{
    const struct mp_windows_start start = *(struct mp_windows_start *)argument;
    free(argument);
    return (void *)(uintptr_t)start.routine(start.argument);
}

/* Starts a thread, without attributes and flags. */
static inline HANDLE CreateThread(void *attributes, SIZE_T stack, LPTHREAD_START_ROUTINE routine, LPVOID argument,
                                  DWORD flags, DWORD *id)
{
    struct mp_windows_thread *thread = (struct mp_windows_thread *)malloc(sizeof *thread);
    struct mp_windows_start *start = (struct mp_windows_start *)malloc(sizeof *start);
    (void)stack;
    if (thread != NULL && start != NULL && attributes == NULL && flags == 0) {
        start->routine = routine;
        start->argument = argument;
        thread->is_joined = FALSE;
        if (id != NULL)
            *id = 0;
        if (pthread_create(&thread->thread, NULL, mp_windows_run, start) == 0)
            return thread;
    }
    free(start);
    free(thread);
    errno = EAGAIN;
    return NULL;
}

/* Waits for the end of all threads, without a timeout; other ways of waiting are not supported. */
static inline DWORD WaitForMultipleObjects(DWORD count, const HANDLE *handles, BOOL all, DWORD milliseconds)
{
    DWORD at;
    if (handles == NULL || !all || milliseconds != INFINITE) {
        errno = EINVAL;
        return WAIT_FAILED;
    }
    for (at = 0; at < count; at++) {
        struct mp_windows_thread *thread = (struct mp_windows_thread *)handles[at];
        if (thread == NULL)
            return WAIT_FAILED;
        if (!thread->is_joined && pthread_join(thread->thread, NULL) != 0)
            return WAIT_FAILED;
        thread->is_joined = TRUE;
    }
    return WAIT_OBJECT_0;
}

static inline DWORD WaitForSingleObject(HANDLE handle, DWORD milliseconds)
{
    return WaitForMultipleObjects(1, &handle, TRUE, milliseconds);
}

/* Closes the handle of a thread, which continues to run if its end was not awaited. */
static inline BOOL CloseHandle(HANDLE handle)
{
    struct mp_windows_thread *thread = (struct mp_windows_thread *)handle;
    if (thread == NULL)
        return FALSE;
    if (!thread->is_joined)
        pthread_detach(thread->thread);
    free(thread);
    return TRUE;
}

static inline void Sleep(DWORD milliseconds)
{
    struct timespec time = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

#endif
