/* An emulated Video4Linux2 camera, preloaded into a process (LD_PRELOAD).
 *
 * The calls that OpenCV makes on /dev/video0 are answered here, so that its unchanged V4L2 backend
 * reads a file of raw YUYV frames at a steady rate, over and over.  It proves the code that uses a
 * camera, not any driver.
 *
 * Environment:
 *   FAKE_CAMERA_FRAMES                   the raw YUYV file
 *   FAKE_CAMERA_WIDTH, _HEIGHT, _FPS     its geometry, and how fast the camera is
 *   FAKE_CAMERA_CONTROL                  a file with one word, read at every call:
 *       ok        frames come
 *       stall     the camera stays open and sends nothing
 *       unplug    the device is gone: ENOENT to open, ENODEV to an open one
 *       busy      it opens, but another program streams: EBUSY
 *       denied    EACCES to open
 *       metadata  it opens, but is a webcam's second node, which sends no pictures
 *
 * How it works: the descriptor that open() gives for the device is a timer.  OpenCV waits for a
 * frame with select(), and a timer is readable at each tick.  Ticks that nobody read are frames that
 * were lost, as with a driver that has run out of buffers.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define DEVICE "/dev/video0"
#define HANDLES 16
#define BUFFERS 8
/* Each buffer has its own page-aligned offset, by which mmap() recognises it. */
#define OFFSET_STEP 0x1000000

static int handles[HANDLES]; /* the open descriptors of the device, plus one; 0 is free */
static int streaming = -1;   /* the descriptor that owns the buffers */
static unsigned width, height, fps;

static uint8_t *frames; /* the whole file */
static size_t frame_bytes, frame_count;
static uint64_t frame_number;

static void *buffers[BUFFERS];
static int queue[BUFFERS], queue_first, queue_length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int fail(int code)
{
    errno = code;
    return -1;
}

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *value = getenv(name);
    return value ? (unsigned)atoi(value) : otherwise;
}

/* The first letter of the control word is enough to tell them apart. */
static char control(void)
{
    const char *path = getenv("FAKE_CAMERA_CONTROL");
    FILE *file = path ? fopen(path, "r") : NULL;
    int letter = file ? fgetc(file) : 'o';
    if (file)
        fclose(file);
    return letter > 0 ? (char)letter : 'o';
}

static int is_camera(int descriptor)
{
    for (int i = 0; i < HANDLES; i++)
        if (descriptor >= 0 && handles[i] == descriptor + 1)
            return 1;
    return 0;
}

static void load_frames(void)
{
    struct stat status;
    width = setting("FAKE_CAMERA_WIDTH", 320);
    height = setting("FAKE_CAMERA_HEIGHT", 240);
    fps = setting("FAKE_CAMERA_FPS", 30);
    frame_bytes = (size_t)width * height * 2;
    int file = REAL(open)(getenv("FAKE_CAMERA_FRAMES"), O_RDONLY);
    if (file < 0 || fstat(file, &status) || (size_t)status.st_size < frame_bytes)
        abort();
    frame_count = status.st_size / frame_bytes;
    frames = REAL(mmap)(NULL, status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    REAL(close)(file);
}

/* ---- open, close, mmap ---- */

static int open_camera(void)
{
    switch (control()) {
    case 'u': return fail(ENOENT);
    case 'd': return fail(EACCES);
    }
    if (!frames)
        load_frames();
    for (int i = 0; i < HANDLES; i++)
        if (!handles[i]) {
            int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
            handles[i] = timer + 1;
            return timer;
        }
    return fail(EMFILE);
}

/* Programs call either name, with or without a mode. */
#define OPEN(name)                                                \
    int name(const char *path, int flags, ...)                    \
    {                                                             \
        mode_t mode = 0;                                          \
        if (flags & (O_CREAT | O_TMPFILE)) {                      \
            va_list rest;                                         \
            va_start(rest, flags);                                \
            mode = va_arg(rest, mode_t);                          \
            va_end(rest);                                         \
        }                                                         \
        return !strcmp(path, DEVICE) ? open_camera()              \
                                             : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

int close(int descriptor)
{
    for (int i = 0; i < HANDLES; i++)
        if (descriptor >= 0 && handles[i] == descriptor + 1)
            handles[i] = 0;
    if (descriptor == streaming)
        streaming = -1;
    return REAL(close)(descriptor);
}

#define MMAP(name, offset_type)                                                              \
    void *name(void *at, size_t size, int protection, int flags, int descriptor, offset_type offset) \
    {                                                                                        \
        if (!is_camera(descriptor))                                                          \
            return REAL(name)(at, size, protection, flags, descriptor, offset);              \
        int index = (int)(offset / OFFSET_STEP);                                             \
        if (index >= BUFFERS)                                                                \
            return errno = EINVAL, MAP_FAILED;                                               \
        return buffers[index] = REAL(name)(NULL, size, PROT_READ | PROT_WRITE,               \
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);              \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

/* ---- the frames ---- */

static void run_timer(int on)
{
    struct itimerspec now, next = {{0, 0}, {0, 0}};
    if (streaming < 0)
        return;
    timerfd_gettime(streaming, &now);
    if (on == (now.it_interval.tv_nsec || now.it_interval.tv_sec))
        return; /* set anew, it would start its period again */
    if (on) {
        next.it_interval.tv_sec = fps == 1;
        next.it_interval.tv_nsec = fps == 1 ? 0 : 1000000000L / fps;
        next.it_value = next.it_interval;
    }
    timerfd_settime(streaming, 0, &next, NULL);
}

static int give_frame(struct v4l2_buffer *buffer)
{
    uint64_t ticks;
    struct timespec now;
    if (!queue_length || read(streaming, &ticks, sizeof ticks) != sizeof ticks)
        return fail(EAGAIN);
    int index = queue[queue_first];
    queue_first = (queue_first + 1) % BUFFERS;
    queue_length--;
    frame_number += ticks;
    memcpy(buffers[index], frames + (frame_number - 1) % frame_count * frame_bytes, frame_bytes);
    clock_gettime(CLOCK_MONOTONIC, &now);
    buffer->index = index;
    buffer->bytesused = buffer->length = frame_bytes;
    buffer->m.offset = index * OFFSET_STEP;
    buffer->sequence = frame_number;
    buffer->flags = 0;
    buffer->timestamp.tv_sec = now.tv_sec;
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    return 0;
}

/* ---- what a driver answers ---- */

static int describe(struct v4l2_capability *about)
{
    unsigned what = control() == 'm' ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE;
    memset(about, 0, sizeof *about);
    strcpy((char *)about->driver, "emulated");
    strcpy((char *)about->card, "Emulated camera");
    about->device_caps = what | V4L2_CAP_STREAMING;
    /* `capabilities` is of the whole device, of which this is one node. */
    about->capabilities = about->device_caps | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static int set_format(struct v4l2_format *format)
{
    format->fmt.pix.width = width;
    format->fmt.pix.height = height;
    format->fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
    format->fmt.pix.field = V4L2_FIELD_NONE;
    format->fmt.pix.bytesperline = width * 2;
    format->fmt.pix.sizeimage = frame_bytes;
    return 0;
}

static int set_rate(struct v4l2_streamparm *parameters)
{
    parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    parameters->parm.capture.timeperframe.numerator = 1;
    parameters->parm.capture.timeperframe.denominator = fps;
    return 0;
}

static int request_buffers(int descriptor, struct v4l2_requestbuffers *request)
{
    if (streaming >= 0 && streaming != descriptor)
        return fail(EBUSY);
    if (request->count > BUFFERS)
        request->count = BUFFERS;
    streaming = request->count ? descriptor : -1;
    queue_first = queue_length = 0;
    return 0;
}

static int describe_buffer(struct v4l2_buffer *buffer)
{
    buffer->length = frame_bytes;
    buffer->m.offset = buffer->index * OFFSET_STEP;
    return 0;
}

static int take_buffer(const struct v4l2_buffer *buffer)
{
    if (queue_length == BUFFERS)
        return fail(EINVAL);
    queue[(queue_first + queue_length++) % BUFFERS] = buffer->index;
    return 0;
}

static int only_one(unsigned index)
{
    return index ? fail(EINVAL) : 0;
}

int ioctl(int descriptor, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *data = va_arg(rest, void *);
    va_end(rest);
    if (!is_camera(descriptor))
        return REAL(ioctl)(descriptor, request, data);

    char word = control();
    if (word == 'u') {
        run_timer(1); /* a camera that is pulled out wakes who waits for it */
        return fail(ENODEV);
    }
    int is_streaming_call = request == VIDIOC_S_FMT || request == VIDIOC_REQBUFS;
    if (is_streaming_call && word == 'm')
        return fail(EINVAL);
    if (is_streaming_call && word == 'b')
        return fail(EBUSY);

    switch (request) {
    case VIDIOC_QUERYCAP: return describe(data);
    case VIDIOC_ENUMINPUT:
        ((struct v4l2_input *)data)->type = V4L2_INPUT_TYPE_CAMERA;
        return only_one(((struct v4l2_input *)data)->index);
    case VIDIOC_G_INPUT: *(int *)data = 0; return 0;
    case VIDIOC_S_INPUT: return 0;
    case VIDIOC_ENUM_FMT:
        ((struct v4l2_fmtdesc *)data)->pixelformat = V4L2_PIX_FMT_YUYV;
        return only_one(((struct v4l2_fmtdesc *)data)->index);
    case VIDIOC_TRY_FMT:
    case VIDIOC_S_FMT:
    case VIDIOC_G_FMT: return set_format(data);
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: return set_rate(data);
    case VIDIOC_REQBUFS: return request_buffers(descriptor, data);
    case VIDIOC_QUERYBUF: return describe_buffer(data);
    case VIDIOC_QBUF: return take_buffer(data);
    case VIDIOC_STREAMON: run_timer(1); return 0;
    case VIDIOC_STREAMOFF: run_timer(0); return 0;
    case VIDIOC_DQBUF:
        run_timer(word != 's');
        return word == 's' ? fail(EAGAIN) : give_frame(data);
    default: return fail(EINVAL);
    }
}
